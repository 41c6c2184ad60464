"""plot: from the table of the scaling study to its figures, as PNG and SVG."""

from pathlib import Path

import click

from gradflow.drawing import style
from gradflow.params.loading import load
from gradflow.tables import artefacts
from gradflow.tables.columns import by_variant
from studies.scaling import summary
from studies.scaling.figures import by_depth, by_rate
from studies.scaling.params import Params

_DPI = 150


@click.command()
@click.argument("rates", type=click.Path(path_type=Path))
@click.argument("figures", type=click.Path(path_type=Path))
def main(rates: Path, figures: Path) -> None:
    """Draw the table RATES (CSV) into the folder FIGURES."""
    config = load(Params)
    found = artefacts.read_table(rates, by_variant(summary.columns(config), config.variants))
    for name, figure in (("by_depth", by_depth.draw(found, config)), ("by_rate", by_rate.draw(found, config))):
        style.save(figure, figures / name, _DPI)


if __name__ == "__main__":
    main()
