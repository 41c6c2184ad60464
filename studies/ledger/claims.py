"""claims: what the measured numbers of all studies say of each claim."""

from pathlib import Path

import click

from gradflow.files.writing import write_json, write_text
from gradflow.ledger import claims, results


@click.command()
@click.argument("ledger", type=click.Path(path_type=Path))
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("verdicts", type=click.Path(path_type=Path))
@click.argument("page", type=click.Path(path_type=Path))
def main(ledger: Path, root: Path, verdicts: Path, page: Path) -> None:
    """Judge the claims of LEDGER (YAML) by the reports in ROOT; write VERDICTS (JSON) and a PAGE (Markdown)."""
    found = results.evaluate(claims.load(ledger), root)
    write_json(verdicts, found)
    write_text(page, results.markdown(found))


if __name__ == "__main__":
    main()
