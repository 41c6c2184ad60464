"""fetch: bring the rows here, from whichever source, in one form."""

import json
from pathlib import Path

import click

from gradflow import dataset, params, sources


@click.command()
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("description", type=click.Path(path_type=Path))
def main(rows: Path, description: Path) -> None:
    """Write ROWS (Parquet) and a DESCRIPTION of them (JSON)."""
    config = params.load()
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
    description.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
