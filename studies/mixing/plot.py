"""plot: from the tables of the mixing study to its figures, as PNG and SVG."""

from pathlib import Path

import click
import pandas as pd

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.mixing import summary
from studies.mixing.figures import accuracy, gradients, shares
from studies.mixing.params import Params

_DPI = 150


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS into the folder FIGURES."""
    config = load(Params)
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, config.variants))
        for name, columns in summary.tables(config).items()
    }
    shared = experiment(config, found["seeds"])
    drawn = {
        "accuracy": accuracy.draw(found["seeds"], found["layers"], shared),
        "gradients": gradients.draw(found["layers"], shared),
        "shares": shares.draw(found["shares"], shared),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


def experiment(config: Params, seeds: pd.DataFrame) -> Experiment:
    """What the figures share.

    Args:
        config: Parameters.
        seeds: Columns variant, seed, diverged and others.
    """
    lost = seeds.dropna(subset="diverged")
    train, moons = config.train, config.moons
    clipped = "unclipped" if train.clip_norm is None else f"clipped at norm {train.clip_norm:g}"
    return Experiment(
        depths=dict.fromkeys(config.variants, config.depth),
        seeds=config.seeds,
        epochs=train.epochs,
        diverged={
            name: {int(seed): int(epoch) for seed, epoch in own[["seed", "diverged"]].to_numpy()}
            for name in config.variants
            for own in [lost[lost["variant"] == name]]
        },
        caption=(
            f"Networks of {config.depth} blocks of width {config.width} on {moons.samples} rows of two moons, noise"
            f" {moons.noise:g}, {moons.validation:.0%} for validation: {config.seeds} seed{'s' * (config.seeds != 1)},"
            f" {train.epochs} epochs of SGD, learning rate {train.lr:g}, momentum {train.momentum:g}, batches of"
            f" {train.batch_size}, {clipped}. Gradients of the mean loss of {config.measure.rows} train rows."
        ),
    )


if __name__ == "__main__":
    main()
