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


@click.command()
@click.argument("passed", type=click.Path(path_type=Path))
def main(passed: Path) -> None:
    """Write PASSED when params.yaml obeys all rules."""
    if Path("params.py").exists():
        rules: type[Parameters] = importlib.import_module(f"studies.{Path.cwd().name}.params").Params
        load(rules)
    else:
        _check_recipe()
    write_text(passed, "params.yaml obeys the rules\n")


def _check_recipe() -> None:
    """The rules of a folder without its own, and those of the rows in a file of the user's."""
    # Other studies' parameters have nothing to do with these.
    from gradflow.analysis import families  # noqa: PLC0415
    from gradflow.recipe import Recipe  # noqa: PLC0415

    config = load(Recipe)
    if config.plot.against:
        families.families(config, config.plot.against)
    if config.data.source == "file":
        from gradflow.data import sources  # noqa: PLC0415  # other sources need no look at the rows, nor the time for it

        sources.load(config)


if __name__ == "__main__":
    main()
