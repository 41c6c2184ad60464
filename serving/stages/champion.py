"""champion: which version the name in the registry stands for now.

DVC cannot see that an alias has moved, so this stage runs each time; what follows runs only if it has.
"""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tracking import environment
from serving.bundle import Named
from serving.params import Params


@click.command()
@click.argument("named", metavar="CHAMPION", type=click.Path(path_type=Path))
def main(named: Path) -> None:
    """Write CHAMPION, with the version that params.yaml names."""
    params = load(Params)
    write_json(named, Named(model=_version(params.champion) if params.champion else None).model_dump())


def _version(uri: str) -> str:
    environment.prepare()
    from gradflow.tracking import champion, store  # they import MLflow

    return champion.resolved(uri, "params.yaml: champion", store.find())


if __name__ == "__main__":
    main()
