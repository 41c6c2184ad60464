"""check: refuse a params.yaml, or a file of the user's own, that cannot work before any stage touches an output.

DVC deletes a stage's outputs when the stage starts. This one runs first, on any change of any key,
takes a fraction of a second, and writes the same file each time, so nothing reruns because of it.
"""

from pathlib import Path

import click

from gradflow import params
from gradflow.writing import write_text


@click.command()
@click.argument("passed", type=click.Path(path_type=Path))
def main(passed: Path) -> None:
    """Write PASSED when params.yaml obeys all rules."""
    config = params.load()
    if config.data.source == "file":
        from gradflow import sources  # noqa: PLC0415  # other sources need no look at the rows, nor the time for it

        sources.load(config)
    write_text(passed, "params.yaml obeys the rules\n")


if __name__ == "__main__":
    main()
