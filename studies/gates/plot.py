"""plot: from the tables of the gates study to its figures, as PNG and SVG."""

from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from gradflow.data import dataset
from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.gates import summary
from studies.gates.figures import gates, norms, shifts
from studies.gates.params import Params

_DPI = 150


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, data: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS, and the rows in DATA that networks were trained on, into the folder FIGURES."""
    config = load(Params)
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, config.variants))
        for name, columns in summary.tables(config).items()
    }
    beside, gated = (experiment(config, found["seeds"], names) for names in (config.plot.variants, config.plot.gates))
    gap = config.gap.x1, config.gap.x2, config.gap.radius
    rows = {name: dataset.read(data / f"{config.variants[name].rows}.parquet")[0] for name in config.plot.gates}
    discs = {name: gap for name in config.plot.gates if config.variants[name].rows == "outside"}
    drawn = {
        "shifts": shifts.draw(found["shifts"], beside),
        "norms": norms.draw(found["norms"], config.plot.norms, beside),
        "gates": gates.draw(found["plane"], max(config.shifts.box), rows, discs, gated),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


def experiment(config: Params, seeds: pd.DataFrame, names: Sequence[str]) -> Experiment:
    """What the figures of some variants share.

    Args:
        config: Parameters.
        seeds: Columns variant, seed, diverged and others.
        names: Of the variants.
    """
    lost = seeds.dropna(subset="diverged")
    train, moons = config.train, config.moons
    clipped = "unclipped" if train.clip_norm is None else f"clipped at norm {train.clip_norm:g}"
    return Experiment(
        depths=dict.fromkeys(names, config.depth),
        seeds=config.seeds,
        epochs=train.epochs,
        diverged={
            name: {int(seed): int(epoch) for seed, epoch in own[["seed", "diverged"]].to_numpy()}
            for name in names
            for own in [lost[lost["variant"] == name]]
        },
        caption=(
            f"Networks of {config.depth} blocks of width {config.width} on {moons.samples} rows of two moons, noise"
            f" {moons.noise:g}, {moons.validation:.0%} for validation: {config.seeds} seed{'s' * (config.seeds != 1)},"
            f" {train.epochs} epochs of SGD, learning rate {train.lr:g}, momentum {train.momentum:g}, batches of"
            f" {train.batch_size}, {clipped}. Sizes of shifts in standard deviations, rotations in degrees."
        ),
    )


if __name__ == "__main__":
    main()
