"""measure: all seeds of one network before any training, layer by layer and along a line, beside theory."""

from pathlib import Path

import click
import pyarrow as pa

from gradflow.files import parquet
from gradflow.files.writing import write_json
from gradflow.params.loading import load, of_stage
from gradflow.training import device
from studies.initialisation import signals
from studies.initialisation.params import Params


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
    device.from_environment()  # for its threads: these passes are too few to be worth a GPU
    trunk = signals.network(config, start)
    for name, table in (
        ("layers", signals.layers(config, start, trunk)),
        ("line", signals.along_a_line(config, trunk)),
    ):
        parquet.write(logs / f"{variant}.{name}.parquet", pa.Table.from_pandas(table, preserve_index=False))
    write_json(logs / f"{variant}.json", {"log_variance": signals.log_variance(config, start, trunk)})


if __name__ == "__main__":
    main()
