"""shifts: validation rows shifted away from the rows of the training, with what is right for each."""

from pathlib import Path

import click
import pyarrow as pa

from gradflow.files import parquet
from gradflow.params.loading import load
from studies.gates import shifted
from studies.gates.params import Params


@click.command()
@click.argument("written", metavar="SHIFTS", type=click.Path(path_type=Path))
def main(written: Path) -> None:
    """Write the SHIFTS."""
    parquet.write(written, pa.Table.from_pandas(shifted.table(load(Params)), preserve_index=False))


if __name__ == "__main__":
    main()
