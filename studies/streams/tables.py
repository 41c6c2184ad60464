"""tables: from the logs of all variants to CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.streams import summary
from studies.streams.params import Params
from studies.streams.twin import tables as twin


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
def main(logs: Path, reports: Path) -> None:
    """Read LOGS, write tables (CSV) and metrics.json to REPORTS."""
    config = load(Params)
    columns = {variant: summary.tables(config, variant) for variant in config.variants}
    of_all = {
        name: artefacts.joined(logs, f".{name}.parquet", {variant: own[name] for variant, own in columns.items()})
        for name in summary.joined(config)
    }
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"{name}.csv", table)
    del of_all["tokens"]
    numbers = {
        variant: summary.of_variant(
            config, **{name: table[table["variant"] == variant] for name, table in of_all.items()}
        )
        for variant in config.variants
    }
    numbers |= twin.written(config.twin, logs / "twin", reports)
    write_json(reports / "metrics.json", numbers)


if __name__ == "__main__":
    main()
