"""plot: from tables and logs to figures, as PNG and SVG."""

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gradflow.analysis import by_parameter, families, gradients
from gradflow.data import dataset
from gradflow.drawing import setting, style
from gradflow.figures import (
    activations,
    decision_boundary,
    gradient_flow,
    gradient_heatmap,
    loss_curves,
    metric_by_parameter,
)
from gradflow.files import documents
from gradflow.params.loading import load
from gradflow.recipe import Recipe
from gradflow.tables import artefacts, configuration
from gradflow.tables.logs import BOUNDARY, Facts


@click.command()
@click.argument("norms", type=click.Path(path_type=Path))
@click.argument("probes", type=click.Path(path_type=Path))
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(
    norms: Path, probes: Path, history: Path, metrics: Path, logs: Path, validation: Path, source: Path, figures: Path
) -> None:
    """Draw the tables NORMS, PROBES and HISTORY (CSV), the METRICS (JSON) and what LOGS hold besides; write FIGURES.

    VALIDATION (Parquet) holds the points of the decision boundary, SOURCE (JSON) describes the data.
    """
    config = load(Recipe)
    about = documents.read(source, dataset.Source)
    numbers = documents.read_by_variant(metrics, gradients.Summary, config.variants)
    experiment = setting.of_recipe(config, numbers, about)
    norm_table, probe_table, history_table = map(
        artefacts.read_table, (norms, probes, history), gradients.tables(config)
    )
    layers = gradients.by_layer(norm_table)
    points, labels = dataset.read(validation)
    of_variants = {name: logs / f"{name}.json" for name in config.variants}
    facts = {name: documents.read(path, Facts) for name, path in of_variants.items()}
    for name, path in of_variants.items():
        configuration.check(path, facts[name], configuration.of(config, name))
    seen = {name: _grid(artefacts.read_table(logs / f"{name}.boundary.parquet", BOUNDARY)) for name in facts}
    drawn: dict[str, Figure | None] = {
        "gradient_flow": gradient_flow.draw(
            layers,
            experiment,
            theory={name: np.array(own["theory"]) for name, own in facts.items() if own["theory"]},
            vanished_below=config.analysis.vanished_below,
            losses={name: found["train_loss"]["mean"] for name, found in numbers.items()},
        ),
        "gradient_heatmap": gradient_heatmap.draw(layers, experiment),
        "loss_curves": loss_curves.draw(history_table, experiment),
        "activations": activations.draw(probe_table, experiment),
        "decision_boundary": decision_boundary.draw(
            seen, dataset.around(points), points, labels, about["features"], tuple(about["classes"]), experiment
        ),
    }
    if config.plot.against:
        drawn["metrics_by_parameter"] = _by_parameter(config, config.plot.against, numbers, about)
    for name, figure in drawn.items():
        if figure:  # there may be nothing to compare
            style.save(figure, figures / name, config.plot.dpi)


def _by_parameter(config: Recipe, parameter: str, numbers: dict[str, Any], about: dict[str, Any]) -> Figure | None:
    found = families.families(config, parameter)
    experiment = setting.of_families(config, numbers, about, found, parameter)
    return metric_by_parameter.draw(by_parameter.table(found, numbers), parameter, experiment)


def _grid(table: pd.DataFrame) -> NDArray[np.float64]:
    """(seeds, rows, columns) from the rows of a table."""
    shape = (table["seed"].nunique(), table["row"].max() + 1, table["column"].max() + 1) if len(table) else (0, 1, 1)
    return table["probability"].to_numpy(dtype=np.float64).reshape(shape)


if __name__ == "__main__":
    main()
