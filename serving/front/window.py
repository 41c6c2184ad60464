"""The last rows that were asked for, beside those of the training."""

from collections import deque
from typing import NamedTuple

import numpy as np

from gradflow.data.dataset import Points
from serving import drift
from serving.drift import Reference
from serving.params import Monitor


class Feature(NamedTuple):
    """How one feature is distributed: shares (bins,) of the training rows and of the last ones, and their PSI."""

    then: list[float]
    now: list[float]
    psi: float


class Window:
    """The last rows, as bins and predicted labels.

    Args:
        reference: The training rows.
        monitor: How many to keep, and from how many on to say something.
    """

    def __init__(self, reference: Reference, monitor: Monitor) -> None:
        self._reference, self._monitor = reference, monitor
        self._rows: deque[tuple[int, int, int]] = deque(maxlen=monitor.window)

    def note(self, points: Points, labels: list[int]) -> None:
        """Take up points (rows, 2) and what was predicted for them."""
        placed = drift.bins_of(points, self._reference.edges)
        self._rows.extend(zip(placed[:, 0].tolist(), placed[:, 1].tolist(), labels, strict=True))

    def __len__(self) -> int:
        return len(self._rows)

    def features(self) -> list[Feature] | None:
        """Both features; None while there are too few rows."""
        if len(self) < self._monitor.least:
            return None
        placed = np.array(self._rows)
        found = []
        for feature, then in enumerate(self._reference.shares):
            now = np.bincount(placed[:, feature], minlength=len(then)) / len(placed)
            found.append(Feature(then, now.tolist(), drift.psi(now, np.array(then), len(placed), self._reference.rows)))
        return found

    def predicted(self) -> list[float] | None:
        """Shares of both labels; None while there are too few rows."""
        if len(self) < self._monitor.least:
            return None
        share = float(np.mean([label for _, _, label in self._rows]))
        return [1 - share, share]

    def drifted(self) -> bool:
        """Whether a feature has passed the threshold."""
        return any(feature.psi > self._monitor.psi for feature in self.features() or [])
