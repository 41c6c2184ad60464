"""The task: a block of distinct tokens is repeated, and from its second copy on each next token can be told.

To tell it, a network has to find where the token that it reads stood before, and what followed there: an induction head
(Olsson et al. 2022, arXiv 2209.11895). Batches are fresh, so nothing can be learnt by heart; of the sequences that are
not for training one in a few dozen is drawn for a batch by chance.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from gradflow.kit.network import Network
from gradflow.networks import transformer
from studies.streams.params import Sequences

if TYPE_CHECKING:
    from gradflow.training.step import Step

UNTOLD = -100  # in the place of a token that cannot be told yet
TRAIN, VALIDATION, LENSES, PATCHES = range(4)  # what sequences are drawn for, each on its own
Tokens = NDArray[np.int64]


def drawn(about: Sequences, rows: int, *seed: int) -> Tokens:
    """Sequences (rows, positions + 1), each with a period of its own.

    Args:
        about: How they are.
        rows: How many.
        seed: Integers, which together seed the random numbers.
    """
    random = np.random.default_rng(seed)
    blocks = random.random((rows, about.tokens)).argsort(1)
    periods = random.integers(about.shortest, about.longest + 1, rows)
    return np.take_along_axis(blocks, np.arange(about.positions + 1) % periods[:, None], 1)


def targets(sequences: Tokens) -> Tokens:
    """The next token at each position (rows, positions); :data:`UNTOLD` before the second copy has begun."""
    seen = (sequences[:, :-1, None] == sequences[:, None, :-1]).argmax(2) < np.arange(sequences.shape[1] - 1)
    return np.where(seen, sequences[:, 1:], UNTOLD)


class Induction:
    """Fresh batches, the same for all networks; an epoch is some steps, after which validation sequences are looked at.

    Args:
        about: The sequences.
        steps: How many in all, a multiple of ``every``.
        batch_size: Sequences of each.
        every: Steps of an epoch.
        seed: Of the batches.
    """

    def __init__(self, about: Sequences, *, steps: int, batch_size: int, every: int, seed: int) -> None:
        self.epochs, self.steps = steps // every, every
        self._about, self._batch_size, self._seed = about, batch_size, seed
        self.validation = torch.from_numpy(drawn(about, about.validation, about.seed, VALIDATION))

    def batches(self, first: int) -> Iterator[Sequence[Tensor]]:
        """The sequences of each step, (batch, positions + 1)."""
        for epoch in range(first, self.epochs + 1):
            yield [self._batch((epoch - 1) * self.steps + step) for step in range(self.steps)]

    def _batch(self, step: int) -> Tensor:
        return torch.from_numpy(drawn(self._about, self._batch_size, self._seed, TRAIN, step))

    def pick(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (batch * positions, tokens + positions), and the token that comes next, (batch * positions,)."""
        sequences = batch.cpu().numpy()
        found = torch.from_numpy(targets(sequences)).flatten()
        return transformer.inputs(batch[:, :-1], self._about.tokens), found.to(batch.device)

    @staticmethod
    def losses(outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats, a mean over tokens that can be told: (seeds, rows, tokens), (rows,) -> (seeds,)."""
        told = targets != UNTOLD
        of_rows = cross_entropy(
            outputs.flatten(0, 1), targets.repeat(len(outputs)), reduction="none", ignore_index=UNTOLD
        )
        mean: Tensor = of_rows.view(len(outputs), -1).sum(1) / told.sum()
        return mean

    def measure(self, network: Network) -> Tensor:
        """Loss and accuracy on the validation sequences: (seeds, 2)."""
        first = next(network.parameters())
        inputs, known = self.pick(self.validation.to(first.device))
        logits = network(inputs.expand(len(first), -1, -1))
        right = (logits.argmax(2) == known) & (known != UNTOLD)
        accuracy = right.double().sum(1) / (known != UNTOLD).sum()
        return torch.stack([self.losses(logits, known).double(), accuracy], 1)

    def probed(self, epoch: int) -> bool:
        """Never in between."""
        return False

    def probe(self, step: "Step") -> tuple[Tensor, Tensor]:
        """Nothing: streams are measured after the training."""
        return step.loss_sum.new_empty(len(step.alive), len(step.network.blocks), 0), torch.ones_like(step.alive)
