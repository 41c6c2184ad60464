"""saved: bytes kept for the backward pass, counted, by depth and by the sizes of batch and stream."""

from itertools import product
from pathlib import Path

import click
import pandas as pd
import pyarrow as pa
import torch

from gradflow.files import parquet
from gradflow.params.loading import load
from gradflow.params.starts import Start
from gradflow.training import device
from studies.memory.counting import Counting
from studies.memory.params import Params
from studies.memory.ways import WAYS, going, trunk


@click.command()
@click.argument("logs", type=click.Path(path_type=Path))
def main(logs: Path) -> None:
    """Count the bytes of each way and write to LOGS."""
    config = load(Params)
    device.from_environment()  # for its threads
    ways = [*WAYS, *(f"sketch_{buckets}" for buckets in config.errors.buckets)]
    cases = [(way, depth, config.train.batch_size, config.width) for way, depth in product(ways, config.saved.depths)]
    for batch, width in config.saved.shapes:
        cases += product(("full", "bits", f"sketch_{-(-batch // 4)}"), config.saved.depths[:1], [batch], [width])
    start = config.variants[config.saved.variant]
    table = pd.DataFrame([counted(start, *case) for case in dict.fromkeys(cases)])
    parquet.write(logs / "saved.parquet", pa.Table.from_pandas(table, preserve_index=False))


def counted(start: Start, way: str, depth: int, batch: int, width: int) -> dict[str, str | int]:
    """What one pass forwards and backwards through blocks keeps.

    Returns:
        The last four arguments; ``forward``, bytes that are kept when the pass forwards is over; and ``peak``, the most
        that is kept at any time, which is more where something is computed again.
    """
    network = trunk(start, depth, width)
    x = torch.randn(batch, width).requires_grad_()
    count = Counting(network.parameters())
    with going(way, network, batch) as through, count:
        last = through(x)
        forward = count.now
        torch.autograd.backward(last.sum())
    return {"way": way, "depth": depth, "batch": batch, "width": width, "forward": forward, "peak": count.peak}


if __name__ == "__main__":
    main()
