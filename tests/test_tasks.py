"""Whatever has batches and a loss is trained: a task is written beside what uses it, without a word in the library."""

import numpy as np
import pytest
import torch

from gradflow.training import compiled, trainer
from gradflow.training.optimisers import Descent
from gradflow.training.step import Step
from tests import small

SEEDS, WIDTH = 2, 6


class Sine:
    """Fresh points, whose sine in every direction is to be learnt; the error on fixed ones is measured."""

    epochs, steps = 20, 10

    def batches(self, first):
        for epoch in range(first, self.epochs + 1):
            yield torch.from_numpy(np.random.default_rng(epoch).uniform(-1, 1, (self.steps, 32, WIDTH))).float()

    def pick(self, batch):
        return batch, torch.sin(2 * batch)

    def losses(self, outputs, targets):
        return (outputs - targets).square().mean((1, 2))

    def measure(self, network):
        points = torch.linspace(-1, 1, 5 * WIDTH).view(5, WIDTH)
        return self.losses(network(points.expand(SEEDS, -1, -1)), torch.sin(2 * points)).double().unsqueeze(1)

    def probed(self, epoch):
        return epoch == 7

    def probe(self, step):
        measured = step.probe(torch.linspace(-1, 1, 5 * WIDTH).view(5, WIDTH), torch.zeros(5, WIDTH))
        return measured, measured[..., 0].isfinite().all(1)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_task_of_ones_own_is_trained(optimizer):
    network = small.network("linear_terminated", depth=2, width=WIDTH, seeds=SEEDS, network="trunk")
    epochs, task = [], Sine()
    step = compiled.fastest(network, task, Descent(optimizer, 0.01, 0.9))
    record = trainer.train(step, task, report=epochs.append)

    assert type(step) is Step
    assert record.history.shape == (20, SEEDS, 2) and record.grad_norm.shape == (200, SEEDS, 4)
    assert record.valid.all() and not record.diverged
    assert (record.history[-1, :, 0] < record.history[0, :, 0] / 3).all(), "it learns"
    assert list(record.probes) == [0, 7, 20]
    assert [(epoch.number, epoch.training) for epoch in epochs] == [(number, SEEDS) for number in range(1, 21)]
    names = [(1, "block_1.linear"), (1, "block_1.out"), (2, "block_2.linear"), (2, "block_2.out")]
    assert record.maps == names


def test_a_seed_whose_measurement_is_no_number_has_diverged():
    class Broken(Sine):
        measured = 0

        def measure(self, network):
            self.measured += 1
            found = super().measure(network)
            return found.index_fill(0, torch.tensor([1]), torch.nan) if self.measured > 3 else found

    task, epochs = Broken(), []
    network = small.network("linear_terminated", depth=2, width=WIDTH, seeds=SEEDS, network="trunk")
    record = trainer.train(Step(network, task, Descent("sgd", 0.01)), task, report=epochs.append)

    [(seed, (epoch, step))] = record.diverged.items()
    assert (seed, step) == (1, epoch * task.steps)
    assert record.history[epoch - 2 :, 1].isnan().all(1).tolist() == [False] + [True] * (task.epochs - epoch + 1)
    assert record.history[:, 0].isfinite().all()
