"""tables: from the logs of all variants to CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.overflow.params import Params
from studies.overflow.summary import DEPTHS, SCALED, summary


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("depths", type=click.Path(path_type=Path))
@click.argument("scaled", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
def main(logs: Path, depths: Path, scaled: Path, metrics: Path) -> None:
    """Read LOGS, write the tables DEPTHS and SCALED (CSV) and the METRICS (JSON)."""
    config = load(Params)
    by_depth, by_precision = (
        artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(config.variants, columns))
        for name, columns in (("depths", DEPTHS), ("scaled", SCALED))
    )
    artefacts.write_csv(depths, by_depth)
    artefacts.write_csv(scaled, by_precision)
    numbers = {
        variant: summary(by_depth[by_depth["variant"] == variant], by_precision[by_precision["variant"] == variant])
        for variant in config.variants
    }
    write_json(metrics, numbers)


if __name__ == "__main__":
    main()
