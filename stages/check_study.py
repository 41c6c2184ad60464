"""check_study: refuse a study's params.yaml that cannot work before any stage touches an output; see check."""

from pathlib import Path

import click

from gradflow import params, studies
from gradflow.writing import write_text


@click.command()
@click.argument("study", type=click.Choice(sorted(studies.MODELS)))
@click.argument("passed", type=click.Path(path_type=Path))
def main(study: str, passed: Path) -> None:
    """Write PASSED when the params.yaml of STUDY obeys all rules."""
    params.load(model=studies.MODELS[study])
    write_text(passed, "params.yaml obeys the rules\n")


if __name__ == "__main__":
    main()
