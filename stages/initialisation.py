"""initialisation: networks before any training, measured over many seeds, beside theory."""

from pathlib import Path

import click
import pandas as pd

from gradflow import artefacts, device, params, signals, studies
from gradflow.signals_summary import summary
from gradflow.writing import write_json


@click.command()
@click.argument("layers", type=click.Path(path_type=Path))
@click.argument("shattering", type=click.Path(path_type=Path))
@click.argument("metrics", type=click.Path(path_type=Path))
def main(layers: Path, shattering: Path, metrics: Path) -> None:
    """Write what was measured by layer, LAYERS, and along a line, SHATTERING (CSV), and the METRICS (JSON)."""
    config = params.load(model=studies.Initialisation)
    device.from_environment()  # for its threads: these passes are too few to be worth a GPU
    by_layer, by_lag, numbers = {}, {}, {}
    for variant, start in config.variants.items():
        trunk = signals.network(config, start)
        by_layer[variant] = signals.layers(config, start, trunk)
        by_lag[variant] = signals.along_a_line(config, trunk)
        numbers[variant] = summary(by_layer[variant], by_lag[variant], signals.log_variance(config, start))
    for path, tables in ((layers, by_layer), (shattering, by_lag)):
        table = pd.concat(tables, names=["variant"]).reset_index(level="variant")
        artefacts.write_csv(path, table)
    write_json(metrics, numbers)


if __name__ == "__main__":
    main()
