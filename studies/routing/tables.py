"""tables: from the logs of all variants to CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.routing import summary
from studies.routing.params import Params


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
def main(logs: Path, reports: Path) -> None:
    """Read LOGS, write tables (CSV) and metrics.json to REPORTS; of rows those that are shown."""
    config = load(Params)
    of_all = {
        name: artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(config.variants, own))
        for name, own in summary.tables(config).items()
    }
    rows = of_all["rows"]
    of_all["rows"] = rows[rows["variant"].isin(config.shown.variants) & (rows["row"] < config.shown.rows)]
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"{name}.csv", table)
    policies = of_all["policies"]
    numbers = {
        variant: summary.of_variant(policies[policies["variant"] == variant]) | {"seeds": config.seeds}
        for variant in config.variants
    }
    write_json(reports / "metrics.json", numbers)


if __name__ == "__main__":
    main()
