"""gradflow_: the same with this project's own training, all seeds at once."""

import time

import torch

from benchmarks.peers.job import Job, Rows, Trained, command
from gradflow import recipe
from gradflow.kit.inits import initialised
from gradflow.training import device, training


def tensors(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and labels as tensors."""
    return torch.from_numpy(rows[0]), torch.from_numpy(rows[1])


def train(job: Job) -> Trained:
    """Train all seeds as the stage train does, with probes before the first epoch and after the last alone."""
    device.from_environment()
    settings = {} if job.branch_scale is None else {"scale": job.branch_scale}
    network = initialised(job.variant, settings, job.depth, job.width, seeds=job.seeds, init="default", seed=0)
    config = recipe.Train(
        epochs=job.epochs,
        batch_size=job.batch_size,
        optimizer="sgd",
        lr=job.lr,
        momentum=job.momentum,
        clip_norm=job.clip_norm,
        init="default",
        seed=0,
    )
    probes = recipe.Probe(samples=job.batch_size, every=job.epochs)
    clock = [time.perf_counter()]
    record = training.train(
        network,
        tensors(job.rows("train")),
        tensors(job.rows("val")),
        config,
        probes,
        report=lambda _: clock.append(time.perf_counter()),
    )
    assert not record.diverged, f"diverged: {record.diverged}"
    return Trained(record.grad_norm.numpy(), record.history[-1, :, 2].tolist(), clock)


if __name__ == "__main__":
    command(train)()
