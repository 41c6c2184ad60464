"""A quantity by layer and time, over the seeds: what the sliders move through and the heatmaps colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradflow.drawing.experiment import Experiment

Numbers = NDArray[np.float64]

_CELLS = 15_000  # variants * times * layers of one quantity: some 400 kB of the page
_LAYERS = 200  # more would be narrower than a line


@dataclass(frozen=True)
class Evolution:
    """Median, smallest and largest value over the seeds.

    Attributes:
        times: Epochs or steps, rising.
        layers: Layers, rising; 0 is the stem and depth + 1 the head where the quantity has them.
        median: (variants, times, layers), three significant digits; nan where no seed is left.
        low: The smallest, likewise.
        high: The largest, likewise.
        limits: Smallest and largest number above 0 that an axis must hold.
        left_out: How many times were left out to keep the page small.
    """

    times: list[int]
    layers: list[int]
    median: Numbers
    low: Numbers
    high: Numbers
    limits: tuple[float, float]
    left_out: int

    def payload(self) -> dict[str, Any]:
        """What the script of the page draws from: ``None`` for nan."""
        return {
            "times": self.times,
            "layers": self.layers,
            **{name: _lists(getattr(self, name)) for name in ("median", "low", "high")},
        }


def over_seeds(table: pd.DataFrame, time: str, value: str, experiment: Experiment) -> Evolution:
    """Median and range over the seeds of column ``value``, by variant, time and layer.

    Args:
        table: Columns variant, seed, layer, ``time`` and ``value``.
        time: ``epoch`` or ``step``.
        value: The quantity, >= 0.
        experiment: Names the variants and tells which seeds diverged.
    """
    all_times, all_layers = sorted(table[time].unique()), sorted(table["layer"].unique())
    layers = _thinned(all_layers, _LAYERS)
    variants = list(experiment.diverged)
    times = _thinned(all_times, max(2, _CELLS // (len(variants) * len(layers))))
    shown = table[table[time].isin(times) & table["layer"].isin(layers)]
    index = pd.MultiIndex.from_product([variants, times, layers])
    groups = shown.groupby(["variant", time, "layer"])[value]
    shape = (len(variants), len(times), len(layers))
    low, median, high = (
        _rounded(groups.quantile(q).reindex(index).to_numpy(dtype=float).reshape(shape)) for q in (0.0, 0.5, 1.0)
    )
    # Values of seeds that diverge reach up to the largest number that there is, and would flatten all else.
    surviving = experiment.surviving(shown)[value].to_numpy(dtype=float)
    largest = surviving if len(surviving) else median
    positive = median[median > 0]
    smallest = float(positive.min()) if len(positive) else 0.1
    return Evolution(
        [int(at) for at in times],
        [int(layer) for layer in layers],
        median,
        low,
        high,
        limits=(smallest, max(smallest, float(np.nanmax(largest, initial=smallest)))),
        left_out=len(all_times) - len(times),
    )


def _thinned(points: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the points, evenly spread, the first and the last among them."""
    kept = np.linspace(0, len(points) - 1, min(most, len(points))).round().astype(int)
    return [points[place] for place in kept]


def _rounded(numbers: Numbers) -> Numbers:
    """Three significant digits."""
    return np.array([float(f"{number:.3g}") for number in numbers.ravel()]).reshape(numbers.shape)


def _lists(numbers: Numbers) -> Any:
    values = numbers.astype(object)
    values[np.isnan(numbers)] = None
    return values.tolist()
