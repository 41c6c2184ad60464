"""plot: from the tables of the routing study to its figures, as PNG and SVG."""

from pathlib import Path

import click
import pandas as pd

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.routing import summary
from studies.routing.figures import growth, networks, policies, rows
from studies.routing.params import Params

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
    before = read_table(reports / "growth.csv", summary.GROWTH)
    style.save(growth.draw(before, of_growth(config)), figures / "growth", _DPI)
    style.save(policies.draw(found["policies"], shared), figures / "policies", _DPI)
    style.save(networks.draw(found["policies"], shared), figures / "networks", _DPI)
    style.save(rows.draw(found["rows"], shared), figures / "rows", _DPI)


def experiment(config: Params, seeds: pd.DataFrame) -> Experiment:
    """What the figures share.

    Args:
        config: Parameters.
        seeds: Columns variant, seed, diverged.
    """
    lost = seeds.dropna(subset="diverged")
    train, moons, spirals = config.train, config.moons, config.spirals
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
            f" {moons.noise:g}, or {spirals.samples} of two spirals of {spirals.turns:g} turns, noise"
            f" {spirals.noise:g}; {moons.validation:.0%} and {spirals.validation:.0%} for validation, which all numbers"
            f" are from. {config.seeds} seed{'s' * (config.seeds != 1)}, {train.epochs} epochs of SGD, learning rate"
            f" {train.lr:g}, momentum {train.momentum:g}, batches of {train.batch_size}, {clipped}. Thresholds from"
            f" {config.routing.train_rows} train rows."
        ),
    )


def of_growth(config: Params) -> Experiment:
    """The setting of the figure on growth, whose variants are kinds of routing."""
    chosen = config.growth
    return Experiment(
        depths=dict.fromkeys(summary.GROWTH["kind"].words or (), max(chosen.depths)),
        seeds=chosen.seeds,
        epochs=1,
        diverged={kind: {} for kind in summary.GROWTH["kind"].words or ()},
        caption=(
            f"Blocks x + m w c W2 relu(W1 x) of width {chosen.width} before training, Xavier's weights,"
            f" c = {chosen.scale:.3g} / depth^exponent, on {chosen.rows} normal rows, {chosen.seeds}"
            f" seed{'s' * (chosen.seeds != 1)}. m is 1 for a share of the rows, drawn anew at each block; w is 1,"
            " rescaled 1 / share, for weighted experts 1/2."
        ),
    )


if __name__ == "__main__":
    main()
