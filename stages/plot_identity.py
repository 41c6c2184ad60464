"""plot_identity: from the tables of the identity study to its figures, as PNG and SVG."""

from pathlib import Path

import click
import pandas as pd

from gradflow import params, studies
from gradflow.artefacts import read_table
from gradflow.figures import identity_heatmap, identity_layers, identity_loss, style
from gradflow.figures.experiment import Experiment

_DPI = 150


@click.command()
@click.argument("history", type=click.Path(path_type=Path))
@click.argument("probe", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(history: Path, probe: Path, figures: Path) -> None:
    """Draw the tables HISTORY and PROBE (CSV) into the folder FIGURES."""
    config = params.load(model=studies.Identity)
    losses, probes = read_table(history), read_table(probe)
    train = config.train
    of_each = pd.MultiIndex.from_product([config.variants, range(config.seeds)])
    last = (
        losses.groupby(["variant", "seed"])["step"].max().reindex(of_each, fill_value=-1)
    )  # lost before the first step
    experiment = Experiment(
        depths=dict.fromkeys(config.variants, config.depth),
        seeds=config.seeds,
        epochs=train.steps,
        diverged={name: last[name][last[name] < train.steps].to_dict() for name in config.variants},
        caption=(
            f"Y = X for X from U(-1, 1): {config.depth} square blocks of width {config.width}, {config.seeds}"
            f" seed{'s' * (config.seeds != 1)}, {train.steps:,} steps of Adam (learning rate {train.lr:g}, batches of"
            f" {train.batch_size})."
        ),
        time="step",
    )
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
