"""tables: from the logs of all variants to CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.mixing import summary
from studies.mixing.params import Params


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
def main(logs: Path, reports: Path) -> None:
    """Read LOGS, write tables (CSV) and metrics.json to REPORTS."""
    config = load(Params)
    of_all = {
        name: artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(config.variants, own))
        for name, own in summary.tables(config).items()
    }
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"{name}.csv", table)
    own = {
        variant: {name: table[table["variant"] == variant] for name, table in of_all.items()}
        for variant in config.variants
    }
    first = own[next(iter(own))]["seeds"]
    numbers = {
        variant: summary.of_variant(**tables, first=first) | {"seeds": config.seeds} for variant, tables in own.items()
    }
    write_json(reports / "metrics.json", numbers)


if __name__ == "__main__":
    main()
