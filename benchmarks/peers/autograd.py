"""autograd: gradflow_ with the steps that autograd takes, as for all blocks, optimisers and tasks unknown to C."""

from benchmarks.peers import gradflow_
from benchmarks.peers.job import Job, Trained, command
from gradflow.training.step import Step


def train(job: Job) -> Trained:
    """Train all seeds as the stage train does without C."""
    return gradflow_.train(job, Step)


if __name__ == "__main__":
    command(train)()
