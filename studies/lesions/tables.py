"""tables: from the logs of all variants and starts to CSV tables and metrics.json."""

from pathlib import Path

import click
import pandas as pd

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.lesions import summary
from studies.lesions.params import Params


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("starts", type=click.Path(path_type=Path))
@click.argument("reports", type=click.Path(path_type=Path))
def main(logs: Path, starts: Path, reports: Path) -> None:
    """Read LOGS of trained networks and those of STARTS, write tables (CSV) and metrics.json to REPORTS."""
    config = load(Params)
    columns = summary.tables(config)
    of_all = {
        name: artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(config.variants, own))
        for name, own in columns.items()
    }
    before = artefacts.joined(starts, ".paths.parquet", dict.fromkeys(config.starts, columns["paths"]))
    of_all["paths"] = pd.concat([of_all["paths"], before], ignore_index=True)
    for name, table in of_all.items():
        artefacts.write_csv(reports / f"{name}.csv", table)
    own = {name: dict(list(table.groupby("variant"))) for name, table in of_all.items()}
    numbers = {
        variant: summary.of_lesions(own["lesions"][variant])
        | summary.of_paths(own["paths"][variant])
        | {"seeds": config.seeds}
        for variant in config.variants
        if variant in own["lesions"]
    }
    numbers |= {name: summary.of_paths(own["paths"][name]) | {"seeds": config.seeds} for name in config.starts}
    write_json(reports / "metrics.json", numbers)


if __name__ == "__main__":
    main()
