"""Whether inputs still look like those of the training: the population stability index of each feature.

PSI is ``sum over bins of (now - then) * ln(now / then)``, where now and then are a bin's shares of the rows (Siddiqi,
Credit Risk Scorecards, 2006). Below 0.1 it counts as no change, from 0.25 as a large one. The bins have equal shares of
the training rows. It sees each feature for itself, and so no change that leaves both as they are.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gradflow.data.dataset import Labels, Points
from gradflow.files.documents import Document

_LEAST_ROWS = 0.5  # what an empty bin counts as, since the logarithm of 0 is infinite


class Reference(Document):
    """The training rows as the watch over inputs knows them.

    Attributes:
        rows: How many they were.
        edges: Inner edges of the bins of each feature, in the raw data's units.
        shares: Of the rows in each bin, by feature.
        classes: Share of each class.
    """

    rows: Annotated[int, Field(ge=1)]
    edges: Annotated[list[list[float]], Field(min_length=2, max_length=2)]
    shares: Annotated[list[list[float]], Field(min_length=2, max_length=2)]
    classes: Annotated[list[float], Field(min_length=2, max_length=2)]


def reference(points: Points, labels: Labels, bins: int) -> Reference:
    """What to keep of the training rows: points (rows, 2) in the raw data's units and labels (rows,)."""
    edges = np.quantile(points, np.linspace(0, 1, bins + 1)[1:-1], axis=0).T
    placed = bins_of(points, edges.tolist())
    return Reference(
        rows=len(points),
        edges=edges.tolist(),
        shares=[(np.bincount(placed[:, feature], minlength=bins) / len(points)).tolist() for feature in (0, 1)],
        classes=(np.bincount(labels, minlength=2) / len(labels)).tolist(),
    )


def bins_of(points: Points, edges: list[list[float]]) -> NDArray[np.int64]:
    """The bin of each feature of points (rows, 2); what lies beyond the training rows is in the outer ones."""
    return np.stack([np.searchsorted(edges[feature], points[:, feature], side="right") for feature in (0, 1)], axis=1)


def psi(now: NDArray[np.float64], then: NDArray[np.float64], rows: int, rows_then: int) -> float:
    """The index of shares (bins,) of so many rows, then and now."""
    now, then = np.maximum(now, _LEAST_ROWS / rows), np.maximum(then, _LEAST_ROWS / rows_then)
    return float(((now - then) * np.log(now / then)).sum())
