"""images: digits, split and standardised."""

from pathlib import Path

import click

from gradflow.digits import dataset, rows
from gradflow.params.loading import load
from studies.convnets.params import Params


@click.command()
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("validation", type=click.Path(path_type=Path))
def main(train: Path, validation: Path) -> None:
    """Write the TRAIN and the VALIDATION images."""
    split = rows.split(load(Params).digits)
    dataset.write(train, *split.train)
    dataset.write(validation, *split.validation)


if __name__ == "__main__":
    main()
