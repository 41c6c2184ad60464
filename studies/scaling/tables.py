"""tables: from the logs of all variants of the scaling study to its CSV table and metrics.json."""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.scaling import summary
from studies.scaling.params import Params


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("rates", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
def main(logs: Path, rates: Path, metrics: Path) -> None:
    """Read LOGS, write the table RATES (CSV) and the METRICS (JSON)."""
    config = load(Params)
    found = artefacts.joined(logs, ".parquet", dict.fromkeys(config.variants, summary.columns(config)))
    artefacts.write_csv(rates, found)
    write_json(metrics, summary.of_all(found, config))


if __name__ == "__main__":
    main()
