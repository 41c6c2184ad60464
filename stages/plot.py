"""plot: from tables and checkpoints to figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow import artefacts, boundary, configuration, dataset, documents, gradients, params, theory
from gradflow.figures import (
    activations,
    decision_boundary,
    gradient_flow,
    gradient_heatmap,
    loss_curves,
    setting,
    style,
)


@click.command()
@click.argument("norms", type=click.Path(path_type=Path))
@click.argument("probes", type=click.Path(path_type=Path))
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
@click.argument("models", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(
    norms: Path, probes: Path, history: Path, metrics: Path, models: Path, validation: Path, source: Path, figures: Path
) -> None:
    """Draw the tables NORMS, PROBES and HISTORY (CSV), the METRICS (JSON) and the MODELS; write FIGURES.

    VALIDATION (Parquet) holds the points of the decision boundary, SOURCE (JSON) describes the data.
    """
    config = params.load()
    about = documents.read(source, dataset.Source)
    numbers = documents.read_by_variant(metrics, gradients.Summary, config.variants)
    experiment = setting.of_recipe(config, numbers, about)
    norm_table, probe_table, history_table = map(
        artefacts.read_table, (norms, probes, history), gradients.tables(config)
    )
    points, labels = dataset.read(validation)
    extent = boundary.around(points)
    seen = {
        name: boundary.probabilities(
            models / f"{name}.safetensors", configuration.of(config, name), extent, 100, without=set(seeds)
        )
        for name, seeds in experiment.diverged.items()
    }
    drawn = {
        "gradient_flow": gradient_flow.draw(
            norm_table,
            experiment,
            theory={
                name: theory.weight_gradients(config.of(name).train.init, config.of(name).depth, config.width)
                for name, variant in config.variants.items()
                if variant.block == "plain"
            },
            vanished_below=config.analysis.vanished_below,
        ),
        "gradient_heatmap": gradient_heatmap.draw(norm_table, experiment),
        "loss_curves": loss_curves.draw(history_table, experiment),
        "activations": activations.draw(probe_table, experiment),
        "decision_boundary": decision_boundary.draw(seen, extent, points, labels, tuple(about["classes"]), experiment),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, config.plot.dpi)


if __name__ == "__main__":
    main()
