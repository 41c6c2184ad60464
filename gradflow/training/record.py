"""What a training leaves besides the weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Record:
    """What was recorded.

    Attributes:
        maps: Layer and name of each linear map.
        grad_norm: (steps, seeds, maps) float32, ||dLoss/dW||_F before clipping.
        valid: (steps, seeds), False from the step on at which a seed diverged.
        steps_per_epoch: Backward passes of an epoch.
        history: (epochs, seeds, columns): train loss, and what the task measures; nan once a seed has diverged.
        probes: Epoch to (seeds, depth, columns of the probe); nan once a seed has diverged.
        diverged: Seed to the (epoch, step) at which loss, gradient or next weights stopped being finite;
            both count from 1 at the start of the training.
    """

    maps: list[tuple[int, str]]
    grad_norm: Tensor
    valid: Tensor
    steps_per_epoch: int
    history: Tensor
    probes: dict[int, Tensor] = field(default_factory=dict)
    diverged: dict[int, tuple[int, int]] = field(default_factory=dict)

    def unfinished(self, epochs: int) -> dict[str, Tensor]:
        """What has been recorded in that many epochs besides what a step records, by name; not copied."""
        diverged = [(seed, *when) for seed, when in self.diverged.items()]
        return {
            "history": self.history[:epochs],
            "probed": torch.tensor(list(self.probes)),
            "probes": torch.stack(list(self.probes.values())),
            "diverged": torch.tensor(diverged, dtype=torch.int64).view(-1, 3),
        }

    def go_on(self, saved: Mapping[str, Tensor]) -> None:
        """Hold what :meth:`unfinished` gave."""
        self.history[: len(saved["history"])] = saved["history"]
        self.probes = dict(zip(saved["probed"].tolist(), saved["probes"].to(self.history.device), strict=True))
        self.diverged = {seed: (epoch, step) for seed, epoch, step in saved["diverged"].tolist()}
