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
    config = load(Recipe)
    points, labels, classes = sources.load(config)
    dataset.write(rows, points, labels)
    data = config.data
    about = {
        "source": data.source,
        "path": None if data.source == "sklearn" else data.path,
        "revision": data.revision if data.source == "hub" else None,
        "rows": len(labels),
        "classes": classes,
    }
    write_json(description, about)


if __name__ == "__main__":
    main()
