"""fetch: bring the rows here, from whichever source, in one form."""

from pathlib import Path

import click

from gradflow.data import dataset, sources
from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.recipe import Recipe


@click.command()
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("description", type=click.Path(path_type=Path))
def main(rows: Path, description: Path) -> None:
    """Write ROWS (Parquet) and a DESCRIPTION of them (JSON)."""
    points, labels, about = sources.load(load(Recipe))
    dataset.write(rows, points, labels)
    write_json(description, about)


if __name__ == "__main__":
    main()
