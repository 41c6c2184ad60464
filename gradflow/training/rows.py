"""The recipe's task: rows of two classes in shuffled batches, cross-entropy, validation."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gradflow.kit.network import Network
from gradflow.training.probe import COLUMNS

if TYPE_CHECKING:
    from gradflow.training.step import Step

Labelled = tuple[Tensor, Tensor]  # points (rows, 2) float32, labels (rows,) int64


class Rows:
    """Shuffled batches, of which the last one in an epoch may be smaller.

    Args:
        train: The rows to train on.
        validation: Those to validate on after each epoch.
        epochs: How often each row is seen.
        batch_size: Rows of a batch.
        seed: Of the order of the rows.
        orders: Seeds of which each has an order of its own, seed s that of ``seed + s``; None: all share one.
        probe_rows: How many of the first train rows the probe looks at.
        probe_every: Epochs between two probes.
    """

    def __init__(
        self,
        train: Labelled,
        validation: Labelled,
        *,
        epochs: int,
        batch_size: int,
        seed: int,
        orders: int | None = None,
        probe_rows: int,
        probe_every: int,
    ) -> None:
        self.train, self.validation, self.epochs = train, validation, epochs
        self.batch_size, self._seed, self._orders = min(batch_size, len(train[0])), seed, orders
        self.steps = -(-len(train[0]) // batch_size)
        self._probed, self._every = (train[0][:probe_rows], train[1][:probe_rows]), probe_every

    def batches(self, first: int) -> Iterator[Sequence[Tensor]]:
        """The numbers of each batch's rows: (batch,), or (batch, seeds) where each seed has an order of its own."""
        points = self.train[0]
        generators = [torch.Generator().manual_seed(self._seed + s) for s in range(self._orders or 1)]
        for epoch in range(1, self.epochs + 1):
            shuffled = [torch.randperm(len(points), generator=each) for each in generators]
            if epoch >= first:
                rows = torch.stack(shuffled, 1) if self._orders else shuffled[0]
                yield torch.split(rows.to(points.device), self.batch_size)

    def pick(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """The points and labels of rows: (batch, 2) and (batch,), or with a first axis of seeds."""
        (points, labels), rows = self.train, batch.movedim(0, -1)
        return points[rows], labels[rows]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats: logits (seeds, batch, classes), labels (batch,) or (seeds, batch) -> (seeds,)."""
        seeds, batch, _ = outputs.shape
        losses = cross_entropy(outputs.flatten(0, 1), targets.expand(seeds, batch).flatten(), reduction="none")
        mean: Tensor = losses.view(seeds, batch).mean(1)
        return mean

    def measure(self, network: Network) -> Tensor:
        """Loss and accuracy on the validation rows: (seeds, 2)."""
        points, labels = self.validation
        logits = network(points.expand(len(next(network.parameters())), -1, -1))
        return torch.stack([self.losses(logits, labels).double(), (logits.argmax(2) == labels).double().mean(1)], 1)

    def probed(self, epoch: int) -> bool:
        """Whether ``probe_every`` divides the epoch."""
        return epoch % self._every == 0

    def probe(self, step: "Step") -> tuple[Tensor, Tensor]:
        """See :mod:`gradflow.training.probe`; only the branch ratio may be missing."""
        measured = step.probe(*self._probed)
        return measured, measured[..., : COLUMNS.index("branch_ratio")].isfinite().flatten(1).all(1)
