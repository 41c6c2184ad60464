"""start: the gradient of one network by path length before any training, all its seeds."""

from pathlib import Path

import click
import pyarrow as pa

from gradflow.files import parquet
from gradflow.moons import training
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from studies.lesions import lengths
from studies.lesions.params import Params


@click.command()
@click.argument("name")
@click.argument("train", type=click.Path(path_type=Path))
@click.argument("logs", type=click.Path(path_type=Path))
def main(name: str, train: Path, logs: Path) -> None:
    """Measure the start NAME on TRAIN rows and write to LOGS; NAME may also be what DVC calls the stage: start@NAME."""
    config = load(Params)
    name = of_stage(name, config.starts)
    chosen = config.starts[name]
    device.from_environment()  # for its threads
    about = training.described(chosen, config.depth, chosen.width)
    network = training.drawn(about, config.seeds, config.train.seed)
    table = lengths.table(network, about, training.labelled(train), config.paths.rows)
    table.insert(0, "moment", "start")
    parquet.write(logs / f"{name}.paths.parquet", pa.Table.from_pandas(table, preserve_index=False))


if __name__ == "__main__":
    main()
