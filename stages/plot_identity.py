"""plot_identity: from the tables of the identity study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow import artefacts, documents, identity_summary, params, studies
from gradflow.columns import by_variant
from gradflow.figures import identity_heatmap, identity_layers, identity_loss, setting, style

_DPI = 150


@click.command()
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("probe", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(history: Path, probe: Path, metrics: Path, figures: Path) -> None:
    """Draw the tables HISTORY and PROBE (CSV), with what METRICS (JSON) says of lost seeds, into the folder FIGURES."""
    config = params.load(model=studies.Identity)
    losses, probes = (
        artefacts.read_table(path, by_variant(columns, config.variants))
        for path, columns in zip((history, probe), identity_summary.tables(config), strict=True)
    )
    numbers = documents.read_by_variant(metrics, identity_summary.Summary, config.variants)
    experiment = setting.of_identity(config, numbers)
    drawn = {"loss": identity_loss.draw(losses, experiment)}
    if "gradient_norms" in config.probe.instruments:
        drawn["gradients"] = identity_layers.draw(
            probes, experiment, identity_layers.GRADIENTS, "Gradients by layer, distant identity"
        )
        drawn["heatmap"] = identity_heatmap.draw(probes, experiment)
    if "statistics" in config.probe.instruments:
        drawn["activations"] = identity_layers.draw(
            probes, experiment, identity_layers.ACTIVATIONS, "Activations by layer, distant identity"
        )
    if {"gradient_split", "telescoping"} <= set(config.probe.instruments):
        drawn["paths"] = identity_layers.draw(
            probes, experiment, identity_layers.PATHS, "Skip and branch by layer, distant identity"
        )
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


if __name__ == "__main__":
    main()
