"""norms: what logging the norm of every layer costs; epochs with and without it take turns in one process."""

import json
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.peers.gradflow_ import descent, network, task
from benchmarks.peers.job import Job
from gradflow.training import compiled, device


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default="data/scaled", show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=40, show_default=True, help="Epochs with and without norms.")
@click.option("--seeds", type=click.IntRange(1), default=8, show_default=True)
def main(data: Path, pairs: int, seeds: int) -> None:
    """Print the seconds of each epoch as JSON."""
    device.from_environment()
    job = Job("residual", seeds, 0, data, Path())
    rows = task(job, pairs + 1)
    batches = next(rows.batches(1))

    def step(*options: str) -> compiled.Compiled:
        """The engine, compiled with further options."""
        library = compiled.library(*options)
        assert library, "there is a C compiler"
        return compiled.Compiled(library, network(job), rows, descent(job))

    ways = {"with": step(), "without": step("-DONE_NORM")}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for pair in range(pairs + 1):
        for way in list(ways)[:: -1 if pair % 2 else 1]:
            start = time.perf_counter()
            for batch in batches:
                ways[way](batch)
            seconds[way].append(time.perf_counter() - start)
    ratios = np.divide(seconds["with"][1:], seconds["without"][1:])  # the first pair warms up
    click.echo(json.dumps({"ratio": float(np.median(ratios)), "pairs": pairs}))


if __name__ == "__main__":
    main()
