"""tables: from the logs of all variants, and the growth before training, to CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.shares import summary
from studies.shares.params import Params


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("growth", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
def main(logs: Path, growth: Path, reports: Path) -> None:
    """Read LOGS and the table GROWTH, write tables (CSV) and metrics.json to REPORTS."""
    config = load(Params)
    of_all = {
        name: artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(config.variants, own))
        for name, own in summary.tables(config).items()
    }
    of_all["growth"] = artefacts.read_table(growth, summary.GROWTH)
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"{name}.csv", table)
    runs = of_all["runs"]
    numbers = {
        name: summary.of_variant(runs[runs["variant"] == name], chosen, config.seeds)
        for name, chosen in config.variants.items()
    }
    write_json(reports / "metrics.json", numbers | summary.of_growth(of_all["growth"]))


if __name__ == "__main__":
    main()
