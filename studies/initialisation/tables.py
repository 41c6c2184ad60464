"""tables: from the logs of all variants to CSV tables and metrics.json."""

from pathlib import Path

import click

from gradflow.files import documents
from gradflow.files.writing import write_json
from gradflow.params.loading import load
from gradflow.tables import artefacts
from studies.initialisation.params import Params
from studies.initialisation.summary import LAYERS, LINE, Theory, summary


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
@click.argument("layers", type=click.Path(path_type=Path))
@click.argument("shattering", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
def main(logs: Path, layers: Path, shattering: Path, metrics: Path) -> None:
    """Read LOGS, write the tables LAYERS and SHATTERING (CSV) and the METRICS (JSON)."""
    config = load(Params)
    by_layer, by_lag = (
        artefacts.joined(logs, f".{name}.parquet", dict.fromkeys(config.variants, columns))
        for name, columns in (("layers", LAYERS), ("line", LINE))
    )
    artefacts.write_csv(layers, by_layer)
    artefacts.write_csv(shattering, by_lag)
    numbers = {
        variant: summary(
            by_layer[by_layer["variant"] == variant],
            by_lag[by_lag["variant"] == variant],
            documents.read(logs / f"{variant}.json", Theory)["log_variance"],
        )
        for variant in config.variants
    }
    write_json(metrics, numbers)


if __name__ == "__main__":
    main()
