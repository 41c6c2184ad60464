"""silent: gradflow_ without the norms of the layers: the difference is what logging them costs."""

import torch
from torch import Tensor

from benchmarks.peers.gradflow_ import train as train_and_log
from benchmarks.peers.job import Job, Trained, command
from gradflow.step import Flat


def train(job: Job) -> Trained:
    """Train as gradflow_ does, but measure no layer: one norm in float32 of the whole gradient, to clip it."""
    nothing = torch.zeros(job.seeds, job.depth + 2)

    def norms(flat: Flat) -> tuple[Tensor, Tensor]:
        return nothing, torch.linalg.vector_norm(flat.gradients, dim=1)

    Flat.norms = norms
    return train_and_log(job)


if __name__ == "__main__":
    command(train)()
