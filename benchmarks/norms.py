"""norms: what logging the norm of every layer costs; epochs with and without it take turns in one process."""

import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor
from torch.linalg import vector_norm

from benchmarks.peers.gradflow_ import tensors
from benchmarks.peers.job import Job
from gradflow import device, params
from gradflow.initialisation import initialised
from gradflow.step import Flat, Step


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default="data/scaled", show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=40, show_default=True, help="Epochs with and without norms.")
@click.option("--seeds", type=click.IntRange(1), default=8, show_default=True)
def main(data: Path, pairs: int, seeds: int) -> None:
    """Print the seconds of each epoch as JSON."""
    device.from_environment()
    job = Job("residual", seeds, 0, data, Path())
    train_set = tensors(job.rows("train"))
    config = params.load().train
    network = initialised("residual", {"scale": job.scale}, job.depth, job.width, seeds=seeds, init="default", seed=0)
    batches = torch.randperm(len(train_set[0])).split(job.batch_size)
    step = Step(network, train_set, config, steps=2 * (pairs + 1) * len(batches))
    nothing = torch.zeros(job.depth + 2, seeds)

    def total_alone(flat: Flat, _: torch.dtype) -> tuple[Tensor, Tensor]:
        """No layer; the norm of the whole gradient, which clipping needs, in float32."""
        parts = torch.cat([vector_norm(part, dim=2) for part in flat.gradients])
        return nothing, vector_norm(parts, dim=0)

    ways: dict[str, Any] = {"with": Flat.norms, "without": total_alone}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for pair in range(pairs + 1):
        for way in list(ways)[:: -1 if pair % 2 else 1]:
            Flat.norms = ways[way]
            start = time.perf_counter()
            for rows in batches:
                step(rows)
            seconds[way].append(time.perf_counter() - start)
    ratios = np.divide(seconds["with"][1:], seconds["without"][1:])  # the first pair warms up
    click.echo(json.dumps({"ratio": float(np.median(ratios)), "pairs": pairs}))


if __name__ == "__main__":
    main()
