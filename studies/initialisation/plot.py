"""plot: from the tables of the initialisation study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.params.loading import load
from gradflow.tables.artefacts import read_table
from studies.initialisation import summary
from studies.initialisation.figures import layers as quantities
from studies.initialisation.params import Params

_DPI = 150


@click.command()
@click.argument("layers", type=click.Path(path_type=Path))
@click.argument("shattering", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(layers: Path, shattering: Path, figures: Path) -> None:
    """Draw the tables LAYERS and SHATTERING (CSV) into the folder FIGURES."""
    config = load(Params)
    experiment = Experiment(
        depths=dict.fromkeys(config.variants, config.depth),
        seeds=config.seeds,
        epochs=0,
        diverged={name: {} for name in config.variants},
        caption=(
            f"Networks of {config.depth} square blocks of width {config.width} before any training,"
            f" {config.seeds} seed{'s' * (config.seeds != 1)}, {config.inputs.rows} orthogonal inputs."
        ),
    )
    by_layer, by_lag = map(read_table, (layers, shattering), summary.tables(config))
    drawn = {
        "signals": quantities.draw(
            by_layer, None, experiment, quantities.SIGNALS, "What networks carry forward at their start"
        ),
        "gradients": quantities.draw(
            by_layer,
            by_lag,
            experiment,
            quantities.GRADIENTS,
            "Gradients at the start, and how they shatter",
        ),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


if __name__ == "__main__":
    main()
