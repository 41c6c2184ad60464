"""silent: gradflow_ without the norms of the layers: the difference is what logging them costs."""

from torch import Tensor

from benchmarks.peers.gradflow_ import train as train_and_log
from benchmarks.peers.job import Job, Trained, command
from gradflow import training


def train(job: Job) -> Trained:
    """Train as gradflow_ does, but measure no layer; the norm of the whole gradient is still needed to clip it."""
    flat, nothing = training._Flat, {}

    def layer_norms(of: "training._Flat") -> Tensor:
        if of not in nothing:
            nothing[of] = of.values.new_zeros(job.seeds, job.depth + 2)
        return nothing[of]

    flat.layer_norms = layer_norms
    return train_and_log(job)


if __name__ == "__main__":
    command(train)()
