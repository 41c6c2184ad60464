"""Validation rows shifted away from the rows of the training, with what is right for each.

A shift moves all rows in one way, and the label of a row stays that of the moon that it was drawn from: accuracy
on shifted rows is the share with that label. Two references stand beside it: the label of the nearest train row, and
that of the nearest point on the two half circles without noise. Points in a box come from no moon; of these only
the agreement with the references is told. The gap holds the validation rows in a disc, not shifted; networks may have
been trained without the train rows in it.
"""

import numpy as np
import pandas as pd
from sklearn.datasets import make_moons
from sklearn.neighbors import NearestNeighbors

from gradflow.data.dataset import Labels, Points
from gradflow.moons import rows
from studies.gates.params import Params

_NOISE, _BOX = 0, 1  # what random numbers are drawn for
_ARC = 2000  # points on the half circles


def table(config: Params) -> pd.DataFrame:
    """All shifts, one after the other.

    Returns:
        Columns shift, row, x1, x2 (standardised), label (nan in the box), nearest_row, nearest_arc (the labels of the
        references), distance (to the nearest train row) and radius (from the mean of the train rows).
    """
    split, shifts = rows.split(config.moons), config.shifts
    arc, arc_labels = make_moons(n_samples=_ARC, noise=None)
    arcs = NearestNeighbors(n_neighbors=1).fit(arc)
    trained = NearestNeighbors(n_neighbors=1).fit(split.train[0])
    found = []
    for name, (at, known) in zip(shifts.names(), _all(config, split), strict=True):
        distance, row = trained.kneighbors(at)
        nearest = arcs.kneighbors(split.scaler.inverse_transform(at), return_distance=False)
        columns = {
            "shift": name,
            "row": np.arange(len(at)),
            "x1": at[:, 0],
            "x2": at[:, 1],
            "label": np.full(len(at), np.nan) if known is None else known.astype(float),
            "nearest_row": split.train[1][row[:, 0]],
            "nearest_arc": arc_labels[nearest[:, 0]],
            "distance": distance[:, 0],
            "radius": np.hypot(at[:, 0], at[:, 1]),
        }
        found.append(pd.DataFrame(columns))
    return pd.concat(found, ignore_index=True)


def _all(config: Params, split: rows.Split) -> list[tuple[Points, Labels | None]]:
    """Points and labels of each shift, in the order of their names."""
    shifts, gap = config.shifts, config.gap
    points, labels = split.validation
    found: list[tuple[Points, Labels | None]] = [(points, labels)]
    drawn, mean = split.scaler.inverse_transform(points), split.scaler.mean_
    for degrees in shifts.rotation:
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        turned = (drawn - mean) @ np.array([[cos, sin], [-sin, cos]]) + mean
        found.append((split.scaler.transform(turned), labels))
    for size in shifts.translation:
        ways = size * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        found.append((np.concatenate([points + way for way in ways]), np.tile(labels, len(ways))))
    random = np.random.default_rng((shifts.seed, _NOISE))
    found += [(points + size * random.standard_normal(points.shape), labels) for size in shifts.noise]
    found += [(size * points, labels) for size in shifts.scale]
    random = np.random.default_rng((shifts.seed, _BOX))
    found += [(size * random.uniform(-1, 1, (shifts.box_points, 2)), None) for size in shifts.box]
    inside = np.hypot(points[:, 0] - gap.x1, points[:, 1] - gap.x2) < gap.radius
    return [*found, (points[inside], labels[inside])]
