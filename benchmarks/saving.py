"""saving: what saving the state costs; stretches with and without it take turns in one process."""

import json
import os
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.peers.gradflow_ import descent, network, task
from benchmarks.peers.job import Job
from gradflow.training import compiled, device, unfinished

SECONDS = 5  # of a stretch, and the default of GRADFLOW_SAVE_SECONDS: one saving a stretch


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default="data/scaled", show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=10, show_default=True, help="Stretches with and without.")
@click.option("--seeds", type=click.IntRange(1), default=8, show_default=True)
def main(data: Path, pairs: int, seeds: int) -> None:
    """Print the ratio of the seconds of an epoch with and without as JSON."""
    device.from_environment()
    os.environ |= {"DVC_ROOT": str(data), "GRADFLOW_SAVE_SECONDS": str(SECONDS)}
    job = Job("residual", seeds, 0, data, Path())
    rows = task(job, 10_000)
    batches = next(rows.batches(1))
    step = compiled.fastest(network(job), rows, descent(job))
    begun = [tensor.clone() for tensor in step.state]
    ratios, saved = [], 0
    with unfinished.kept("benchmark") as state:

        def seconds(saving: bool) -> float:
            nonlocal saved
            step.restore(begun)
            start, epochs = time.perf_counter(), 0
            while time.perf_counter() < start + SECONDS:
                for batch in batches:
                    step(batch)
                    if saving and state.due():
                        state.save(step.unfinished(), "")
                        saved += 1
                epochs += 1
            return (time.perf_counter() - start) / epochs

        for pair in range(pairs + 1):
            took = {way: seconds(way) for way in (True, False)[:: -1 if pair % 2 else 1]}
            ratios.append(took[True] / took[False])
    assert saved >= pairs, f"{saved} savings in {pairs} stretches"
    click.echo(json.dumps({"ratio": float(np.median(ratios[1:])), "pairs": pairs}))  # the first pair warms up


if __name__ == "__main__":
    main()
