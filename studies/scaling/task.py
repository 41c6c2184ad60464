"""The task: networks learn the function of a teacher, y = c * (tanh(gain * a_1 . x) + tanh(gain * a_2 . x) + ...).

The a_i are orthonormal and x comes from N(0, I), so the a_i . x are independent numbers from N(0, 1), and E[y^2] = 1
with 1 / c^2 = hidden * E[tanh(gain * z)^2]. Inputs are fresh at every step. The loss is the mean squared error, so that
predicting 0 costs 1. An epoch is as many steps as pass between two measurements.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradflow.kit.network import Network
from gradflow.networks import regression
from gradflow.training.record import Record

if TYPE_CHECKING:
    from gradflow.training.step import Step

# What random numbers are drawn for. NumPy draws inputs and PyTorch weights, so that they share no numbers.
_BATCHES, _ROWS, _TEACHER = 0, 1, 2


class Teacher:
    """The function to learn.

    Args:
        width: Inputs.
        hidden: Its units, at most ``width``.
        gain: Factor on what goes into each.
        seed: Of its directions.
    """

    def __init__(self, *, width: int, hidden: int, gain: float, seed: int) -> None:
        drawn = np.random.default_rng((seed, _TEACHER)).standard_normal((width, hidden))
        self._directions, self._gain = np.linalg.qr(drawn)[0], gain
        at, weights = np.polynomial.hermite_e.hermegauss(100)  # integrates over exp(-z^2 / 2)
        power = float((weights * np.tanh(gain * at) ** 2).sum()) / math.sqrt(2 * math.pi)
        self._scale = 1 / math.sqrt(hidden * power)

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map inputs (rows, width) to targets (rows, 1)."""
        units = np.tanh(self._gain * (x @ self._directions))
        targets: NDArray[np.float64] = self._scale * units.sum(1, keepdims=True)
        return targets


class Imitation:
    """Fresh batches, the same for all networks; after each epoch, how far the last stream has moved, and the loss.

    Args:
        teacher: What is to be learnt.
        network: What is going to be trained, before its first step.
        width: Units of its stream.
        epochs: How many epochs.
        steps: Of each.
        batch_size: Inputs of a step.
        seed: Of the inputs.
        rows: Inputs to measure on, which are never trained on.
    """

    def __init__(
        self,
        teacher: Teacher,
        network: Network,
        *,
        width: int,
        epochs: int,
        steps: int,
        batch_size: int,
        seed: int,
        rows: int,
    ) -> None:
        self.epochs, self.steps = epochs, steps
        self._teacher, self._width, self._batch_size, self._seed = teacher, width, batch_size, seed
        where = next(network.parameters())
        self._seeds, self._where = len(where), where.device
        self._rows = self.pick(self._drawn(rows, _ROWS))
        with torch.no_grad():
            self._start = self._stream(network)

    def batches(self, first: int) -> Iterator[Sequence[Tensor]]:
        """Inputs and targets of each step in one tensor (batch, width + 1)."""
        for epoch in range(first, self.epochs + 1):
            yield [
                self._drawn(self._batch_size, _BATCHES, (epoch - 1) * self.steps + step) for step in range(self.steps)
            ]

    def pick(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (batch, width) and targets (batch, 1)."""
        return batch[:, :-1], batch[:, -1:]

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared error, mean over the batch: (seeds, batch, 1), (batch, 1) -> (seeds,)."""
        return (outputs - targets).square().mean((1, 2))

    def measure(self, network: Network) -> Tensor:
        """How far the last stream has moved since the start, root mean square over rows and units, and the loss."""
        assert isinstance(network, regression.Network)
        last = self._stream(network)
        moved = (last - self._start).double().square().mean((1, 2)).sqrt()
        return torch.stack([moved, self.losses(network.read(last), self._rows[1]).double()], 1)

    def probed(self, epoch: int) -> bool:
        """Never."""
        return False

    def probe(self, step: "Step") -> tuple[Tensor, Tensor]:
        """Nothing."""
        return step.loss_sum.new_empty(self._seeds, len(step.network.blocks), 0), torch.ones_like(step.alive)

    def _stream(self, network: Network) -> Tensor:
        """The last stream (seeds, rows, width)."""
        assert isinstance(network, regression.Network)
        return network.stream(self._rows[0].expand(self._seeds, -1, -1))

    def _drawn(self, rows: int, *purpose: int) -> Tensor:
        """Inputs and their targets (rows, width + 1)."""
        x = np.random.default_rng((self._seed, *purpose)).standard_normal((rows, self._width))
        return torch.from_numpy(np.hstack([x, self._teacher(x)]).astype(np.float32)).to(self._where)


def table(record: Record, log2_lr: int) -> pa.Table:
    """What a training at a learning rate found: columns seed, log2_lr, rms_change (first epoch), loss (last one).

    A seed that has diverged by then has a gap.
    """
    history, seeds = record.history.cpu().numpy(), record.history.shape[1]
    return pa.table(
        {
            "seed": np.arange(seeds, dtype=np.int32),
            "log2_lr": np.full(seeds, log2_lr, dtype=np.int32),
            "rms_change": pa.array(history[0, :, 1], from_pandas=True),
            "loss": pa.array(history[-1, :, 2], from_pandas=True),
        }
    )
