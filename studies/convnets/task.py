"""The task: digits in shuffled batches, cross-entropy."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gradflow.kit.network import Network
from gradflow.training.rows import Labelled, Rows

if TYPE_CHECKING:
    from gradflow.training.step import Step


class Images(Rows):
    """Rows of pixels, whose networks are not probed: no table of the study holds what a probe finds."""

    def __init__(self, train: Labelled, validation: Labelled, *, epochs: int, batch_size: int, seed: int) -> None:
        super().__init__(
            train, validation, epochs=epochs, batch_size=batch_size, seed=seed, probe_rows=1, probe_every=epochs
        )

    def probe(self, step: "Step") -> tuple[Tensor, Tensor]:
        """Nothing."""
        return step.loss_sum.new_empty(len(step.alive), len(step.network.blocks), 0), torch.ones_like(step.alive)


@torch.no_grad()
def accuracy(network: Network, images: Tensor, labels: Tensor) -> Tensor:
    """Share of images (rows, pixels) that a network in evaluation mode gets right: (seeds,)."""
    logits = network.eval()(images.expand(len(next(network.parameters())), -1, -1))
    right: Tensor = (logits.argmax(2) == labels).double().mean(1)
    return right
