"""The trained networks as functions on the plane: the probability of the second class on a grid of points."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradflow import checkpoints, configuration
from gradflow.network import Network, stacked

Extent = tuple[float, float, float, float]

_POINTS_AT_ONCE = 2**22  # numbers in the stream of all seeds: keeps memory small at any size


def around(points: NDArray[np.float64], margin: float = 0.08) -> Extent:
    """Left, right, lower and upper edge around points (rows, 2), with a margin as a share of the range."""
    low, high = points.min(0), points.max(0)
    room = margin * np.maximum(high - low, 1e-6)
    (left, lower), (right, upper) = low - room, high + room
    return float(left), float(right), float(lower), float(upper)


def probabilities(
    model: Path, trained: Mapping[str, Any], extent: Extent, size: int, without: set[int]
) -> NDArray[np.float64]:
    """Probability of the second class at the points of a grid.

    Args:
        model: A checkpoint.
        trained: The configuration that it must have.
        extent: x1 of the left and right, x2 of the lower and upper column and row.
        size: Points along each edge.
        without: Seeds to leave out.

    Returns:
        (seeds left, size, size), from the lower left corner, x2 along the first axis of a grid.

    Raises:
        RunError: The checkpoint is not usable, or of another configuration.
    """
    torch.set_num_threads(1)  # the same sums, hence the same picture, on any number of cores
    tensors, config = checkpoints.read(model)
    configuration.check(model, config, trained)
    seeds = [seed for seed in range(config["seeds"]) if seed not in without]
    if not seeds:
        return np.empty((0, size, size))
    network = Network(config["block"], config["settings"], config["depth"], config["width"], stacked(len(seeds)))
    network.load_state_dict({name: tensor[seeds] for name, tensor in tensors.items()})
    x2, x1 = torch.meshgrid(torch.linspace(*extent[2:], size), torch.linspace(*extent[:2], size), indexing="ij")
    points = torch.stack([x1.flatten(), x2.flatten()], 1)
    rows = max(1, _POINTS_AT_ONCE // (len(seeds) * config["width"]))
    with torch.inference_mode():
        parts = [network(part.expand(len(seeds), -1, -1)).softmax(2)[..., 1] for part in torch.split(points, rows)]
    return torch.cat(parts, 1).double().view(len(seeds), size, size).numpy()
