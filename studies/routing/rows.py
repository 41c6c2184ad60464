"""rows: two moons and two spirals, split and standardised."""

from pathlib import Path

import click

from gradflow.data import dataset
from gradflow.moons import rows
from gradflow.params.loading import load
from studies.routing.params import Params


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write the rows of each task to FOLDER: TASK.train.parquet and TASK.validation.parquet."""
    config = load(Params)
    for task, drawn in (("moons", config.moons), ("spirals", config.spirals)):
        split = rows.split(drawn)
        dataset.write(folder / f"{task}.train.parquet", *split.train)
        dataset.write(folder / f"{task}.validation.parquet", *split.validation)


if __name__ == "__main__":
    main()
