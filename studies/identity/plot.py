"""plot: from the tables of the identity study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.drawing import style
from gradflow.files import documents
from gradflow.params.loading import load
from gradflow.tables import artefacts
from gradflow.tables.columns import by_variant
from studies.identity import summary
from studies.identity.figures import heatmap, layers, loss, setting
from studies.identity.params import Params

_DPI = 150


@click.command()
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("probe", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(history: Path, probe: Path, metrics: Path, figures: Path) -> None:
    """Draw the tables HISTORY and PROBE (CSV), with what METRICS (JSON) says of lost seeds, into the folder FIGURES."""
    config = load(Params)
    losses, probes = (
        artefacts.read_table(path, by_variant(columns, config.variants))
        for path, columns in zip((history, probe), summary.tables(config), strict=True)
    )
    numbers = documents.read_by_variant(metrics, summary.Summary, config.variants)
    experiment = setting.experiment(config, numbers)
    drawn = {"loss": loss.draw(losses, experiment)}
    if "gradient_norms" in config.probe.instruments:
        drawn["gradients"] = layers.draw(probes, experiment, layers.GRADIENTS, "Gradients by layer, distant identity")
        drawn["heatmap"] = heatmap.draw(probes, experiment)
    if "statistics" in config.probe.instruments:
        drawn["activations"] = layers.draw(
            probes, experiment, layers.ACTIVATIONS, "Activations by layer, distant identity"
        )
    if {"gradient_split", "telescoping"} <= set(config.probe.instruments):
        drawn["paths"] = layers.draw(probes, experiment, layers.PATHS, "Skip and branch by layer, distant identity")
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


if __name__ == "__main__":
    main()
