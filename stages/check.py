"""check: refuse a params.yaml, or a file of the user's own, that cannot work before any stage touches an output.

DVC deletes a stage's outputs when the stage starts. This one runs first, on any change of any key,
takes a fraction of a second, and writes the same file each time, so nothing reruns because of it.
"""

import importlib
from pathlib import Path

import click

from gradflow.files.writing import write_text
from gradflow.params.loading import load
from gradflow.params.sections import Parameters
from gradflow.recipe import Recipe


@click.command()
@click.argument("passed", type=click.Path(path_type=Path))
def main(passed: Path) -> None:
    """Write PASSED when params.yaml obeys all rules."""
    config = load(_model(Path.cwd()))
    if isinstance(config, Recipe) and config.data.source == "file":
        from gradflow.data import sources  # noqa: PLC0415  # other sources need no look at the rows, nor the time for it

        sources.load(config)
    write_text(passed, "params.yaml obeys the rules\n")


def _model(folder: Path) -> type[Parameters]:
    """The rules of a folder's params.yaml: those of a study's own params.py, else the recipe's."""
    if not (folder / "params.py").exists():
        return Recipe
    model: type[Parameters] = importlib.import_module(f"studies.{folder.name}.params").Params
    return model


if __name__ == "__main__":
    main()
