"""measure: all seeds of one kind of network before any training, by depth and with scaled weights."""

from pathlib import Path

import click
import pyarrow as pa

from gradflow.files import parquet
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from studies.overflow import scaling, signals
from studies.overflow.params import Params


@click.command()
@click.argument("variant")
@click.argument("logs", type=click.Path(path_type=Path))
def main(variant: str, logs: Path) -> None:
    """Measure VARIANT and write what was found to LOGS.

    VARIANT may also be what DVC calls the stage: measure@VARIANT.
    """
    config = load(Params)
    variant = of_stage(variant, config.variants)
    start = config.variants[variant]
    device.from_environment()  # for its threads: half precision on a CPU is what is measured
    for name, table in (
        ("depths", signals.by_depth(config, start)),
        ("scaled", scaling.by_precision(config, start)),
    ):
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(table, preserve_index=False))


if __name__ == "__main__":
    main()
