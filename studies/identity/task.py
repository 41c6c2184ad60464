"""The task: a deep stack of square blocks learns to give back its input, Y = X.

Inputs are uniform on (-1, 1) and fresh at every step, so nothing can be learnt by heart; the loss is the mean
squared error, and predicting 0 costs E[x^2] = 1/3. An epoch is one step.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gradflow.instruments import trace
from gradflow.kit.network import Network
from gradflow.training.record import Record

if TYPE_CHECKING:
    from gradflow.training.step import Step

# What random numbers are drawn for. NumPy draws inputs and PyTorch weights, so that they share no numbers.
_BATCHES, _PROBE = 0, 1


class Identity:
    """Fresh batches, the same for all networks.

    Args:
        width: Units of inputs and outputs.
        steps: How many are taken.
        batch_size: Inputs of each.
        seed: Of the inputs.
        probe_at: Numbers of steps after which to measure, beside before the first and after the last.
        instruments: Names of the instruments to measure with, on one batch that is never trained on.
        where: The device to use.

    Attributes:
        columns: What the instruments measure.
    """

    steps = 1

    def __init__(
        self,
        *,
        width: int,
        steps: int,
        batch_size: int,
        seed: int,
        probe_at: Sequence[int],
        instruments: Sequence[str],
        where: torch.device,
    ) -> None:
        self.epochs, self._shape, self._seed, self._where = steps, (batch_size, width), seed, where
        # Imported here, so that the fingerprint of an unfinished training knows their code.
        self._probed, self._instruments = {*probe_at}, trace.named(instruments)
        self.columns = [column for instrument in self._instruments for column in instrument.COLUMNS]
        self._probe = self._uniform(_PROBE, 0)

    def batches(self, first: int) -> Iterator[Sequence[Tensor]]:
        """One batch (batch, width) an epoch."""
        for epoch in range(first, self.epochs + 1):
            yield [self._uniform(_BATCHES, epoch - 1)]

    def pick(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """A batch is to be given back."""
        return batch, batch

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squared error, mean over batch and units: (seeds, batch, width), (batch, width) -> (seeds,)."""
        return (outputs - targets).square().mean((1, 2))

    def measure(self, network: Network) -> Tensor:
        """Nothing beside the train loss."""
        return torch.empty(len(next(network.parameters())), 0, dtype=torch.float64, device=self._where)

    def probed(self, epoch: int) -> bool:
        """Whether the study asks for a measurement after that many steps."""
        return epoch in self._probed

    def probe(self, step: "Step") -> tuple[Tensor, Tensor]:
        """What the instruments find on the probe's batch; no result makes a seed count as diverged."""
        seeds = len(step.alive)
        losses = lambda y: self.losses(y, self._probe)  # noqa: E731
        traced = trace.record(step.network.blocks, self._probe.expand(seeds, -1, -1), losses)
        measured = trace.measured(traced, self._instruments)
        return measured, torch.ones_like(step.alive)

    def at_the_end(self, network: Network) -> Tensor:
        """The loss of each seed after the last step, on one further batch: (seeds,)."""
        x = self._uniform(_BATCHES, self.epochs)
        with torch.no_grad():
            return self.losses(network(x.expand(len(next(network.parameters())), -1, -1)), x)

    def _uniform(self, purpose: int, after: int) -> Tensor:
        """The batch (batch, width) that comes after that many others."""
        random = np.random.default_rng((self._seed, purpose))
        random.bit_generator.advance(after * self._shape[0] * self._shape[1])  # type: ignore[attr-defined]  # PCG64 has it
        return torch.from_numpy(random.uniform(-1, 1, self._shape).astype(np.float32)).to(self._where)


def tables(record: Record, last: Tensor, columns: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """What was recorded, up to where a seed's loss stops being finite.

    Args:
        record: Of the training.
        last: (seeds,), the loss of each seed after the last step.
        columns: What the probe measured.

    Returns:
        Columns seed, step, loss (before the step after that one); and seed, step, layer (from 1) and those of the
        probe, with a gap for what does not exist.
    """
    losses = torch.cat([record.history[:, :, 0], last.double().unsqueeze(0)]).cpu().numpy()
    finite = np.logical_and.accumulate(np.isfinite(losses), axis=0)
    seed, step = np.nonzero(finite.T)
    history = pa.table(
        {"seed": seed.astype(np.int32), "step": step.astype(np.int32), "loss": losses[step, seed]},
    )
    steps = np.array(sorted(record.probes), dtype=np.int32)
    probes = np.stack([record.probes[step].cpu().numpy() for step in steps.tolist()])
    probes[~np.isfinite(probes)] = np.nan
    seed, index = np.nonzero(finite[steps].T)
    depth = probes.shape[2]
    keys = {
        "seed": np.repeat(seed.astype(np.int32), depth),
        "step": np.repeat(steps[index], depth),
        "layer": np.tile(np.arange(1, depth + 1, dtype=np.int32), len(seed)),
    }
    values = probes[index, seed]
    measured = {name: pa.array(values[:, :, i].ravel(), from_pandas=True) for i, name in enumerate(columns)}
    return history, pa.table(keys | measured)
