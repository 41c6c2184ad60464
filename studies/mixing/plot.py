"""plot: from the tables of the mixing study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.drawing import style
from gradflow.moons.setting import experiment
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
    more = f"Gradients of the mean loss of {config.measure.rows} train rows."
    shared = experiment(config, found["seeds"], config.variants, more)
    drawn = {
        "accuracy": accuracy.draw(found["seeds"], found["layers"], shared),
        "gradients": gradients.draw(found["layers"], shared),
        "shares": shares.draw(found["shares"], shared),
    }
    for name, figure in drawn.items():
        style.save(figure, figures / name, _DPI)


if __name__ == "__main__":
    main()
