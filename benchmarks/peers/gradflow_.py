"""gradflow_: the same with this project's own training, all seeds at once."""

import time
from collections.abc import Callable
from functools import partial

import torch

from benchmarks.peers.job import Job, Trained, command
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.network import Network
from gradflow.params import catalogue
from gradflow.training import compiled, device, trainer
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from gradflow.training.step import Step
from gradflow.training.task import Task


def network(job: Job) -> Network:
    """All seeds of it as one; blocks other than the recipe's have their default settings."""
    settings = {} if job.branch_scale is None else {"scale": job.branch_scale}
    about = {"network": "mlp", "block": job.variant, "settings": settings, "widths": None}
    make = partial(build, about | {"depth": job.depth, "width": job.width})
    return stack(make, seeds=job.seeds, init="default", seed=0).to(job.device)


def task(job: Job, epochs: int) -> Rows:
    """Its rows for so many epochs, with probes before the first one and after the last alone."""
    (points, labels), (val_points, val_labels) = (
        [torch.from_numpy(column).to(job.device) for column in job.rows(part)] for part in ("train", "val")
    )
    train_set, val_set = (points, labels), (val_points, val_labels)
    size = job.batch_size
    return Rows(train_set, val_set, epochs=epochs, batch_size=size, seed=0, probe_rows=size, probe_every=max(1, epochs))


def descent(job: Job) -> Descent:
    """How its weights move."""
    return Descent("sgd", job.lr, job.momentum, job.clip_norm)


def train(job: Job, make: Callable[[Network, Task, Descent], Step] = compiled.fastest) -> Trained:
    """Train all seeds as the stage train does."""
    device.from_environment()  # for its threads
    rows = task(job, job.epochs)
    step = make(network(job), rows, descent(job))
    clock = [time.perf_counter()]
    record = trainer.train(step, rows, report=lambda _: clock.append(time.perf_counter()))
    assert not record.diverged, f"diverged: {record.diverged}"
    return Trained(record.grad_norm.cpu().numpy(), record.history[-1, :, 2].tolist(), clock)


if __name__ == "__main__":
    command(train, variants=catalogue.names())()
