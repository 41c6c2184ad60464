"""What a network is trained on."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from gradflow.kit.network import Network

if TYPE_CHECKING:  # a step is made of a task
    from gradflow.training.step import Step


class Task(Protocol):
    """Batches, the loss on them, and what is measured on the way.

    Seeds share the inputs of a batch, or each has its own. ``len`` of a batch is how many inputs a seed sees.

    Attributes:
        epochs: How many there are. An epoch is what a row of the history and a measurement are taken after.
        steps: Batches of an epoch.
    """

    epochs: int
    steps: int

    def batches(self, first: int) -> Iterator[Sequence[Tensor]]:
        """The batches of each epoch, from the epoch of that number (from 1) to the last."""

    def pick(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (batch, units) and targets (batch, ...) of a batch, with an axis of seeds first where they differ."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of each seed, a mean over its batch: outputs (seeds, batch, ...), targets of ``pick`` -> (seeds,)."""

    def measure(self, network: Network) -> Tensor:
        """What the history holds beside the train loss: (seeds, columns) in float64; not finite: diverged."""

    def probed(self, epoch: int) -> bool:
        """Whether to probe after an epoch that is neither 0 nor the last."""

    def probe(self, step: "Step") -> tuple[Tensor, Tensor]:
        """Measurements of every block, (seeds, depth, columns) in float64, and (seeds,), whether theirs are whole."""
