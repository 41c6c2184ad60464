"""plot: from the tables of the overflow study to its figure, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from studies.overflow import summary
from studies.overflow.figures import placement
from studies.overflow.params import Params

_DPI = 150


@click.command()
@click.argument("depths", type=click.Path(path_type=Path))
@click.argument("scaled", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(depths: Path, scaled: Path, figures: Path) -> None:
    """Draw the tables DEPTHS and SCALED (CSV) into the folder FIGURES."""
    config = load(Params)
    experiment = Experiment(
        depths=dict.fromkeys(config.variants, config.depths[-1]),
        seeds=config.seeds,
        epochs=0,
        diverged={name: {} for name in config.variants},
        caption=(
            f"Networks of width {config.width} before any training, {config.seeds} seed{'s' * (config.seeds != 1)},"
            f" {config.inputs.rows} standard normal inputs."
        ),
    )
    by_depth, by_precision = map(read_table, (depths, scaled), summary.tables(config))
    figure = placement.draw(by_depth, by_precision, config.overflow.decades, experiment)
    style.save(figure, figures / "placement", _DPI)


if __name__ == "__main__":
    main()
