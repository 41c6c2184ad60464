"""plot: from the tables of the lesions study to its figures, as PNG and SVG."""

from collections.abc import Iterable
from pathlib import Path

import click
import pandas as pd

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from gradflow.tables.columns import by_variant
from studies.lesions import summary
from studies.lesions.figures import lesions, paths
from studies.lesions.params import Params

_DPI = 150


@click.command()
@click.argument("reports", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(reports: Path, figures: Path) -> None:
    """Draw the tables (CSV) of REPORTS into the folder FIGURES."""
    config = load(Params)
    names = {"seeds": config.variants, "lesions": config.variants, "paths": [*config.variants, *config.starts]}
    found = {
        name: read_table(reports / f"{name}.csv", by_variant(columns, names[name]))
        for name, columns in summary.tables(config).items()
    }
    trained, every = (experiment(config, found["seeds"], names[table]) for table in ("lesions", "paths"))
    widths = {name: start.width for name, start in config.starts.items()}
    style.save(lesions.draw(found["lesions"], trained), figures / "lesions", _DPI)
    style.save(paths.draw(found["paths"], widths, every), figures / "paths", _DPI)


def experiment(config: Params, seeds: pd.DataFrame, names: Iterable[str]) -> Experiment:
    """What the figures share.

    Args:
        config: Parameters.
        seeds: Columns variant, seed, diverged.
        names: Of the variants, and of the starts that are shown beside them.
    """
    lost = seeds.dropna(subset="diverged")
    train, moons, draws = config.train, config.moons, config.lesions.draws
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
            f" {train.batch_size}, {clipped}. {draws} draw{'s' * (draws != 1)} of random blocks, the same for all"
            f" networks; gradient of the mean loss of {config.paths.rows} train rows."
        ),
    )


if __name__ == "__main__":
    main()
