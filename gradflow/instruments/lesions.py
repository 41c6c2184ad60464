"""Blocks taken out of a trained network, or put into another order (Veit et al. 2016, arXiv 1605.06431, section 4).

Where a block is missing the stream goes past it. In a residual network that leaves the paths that do not go through its
branch; in a plain one there is only one path.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradflow.networks.mlp import Network


@torch.inference_mode()
def accuracy(network: Network, points: Tensor, labels: Tensor, order: Iterable[int]) -> Tensor:
    """Share of rows that a network of these blocks gets right.

    Args:
        network: A stacked one.
        points: (seeds, rows, 2).
        labels: (rows,).
        order: Which blocks the stream goes through, one after the other, from 0 on.

    Returns:
        (seeds,), in float64.
    """
    x = network.stem(points)
    for number in order:
        x = network.blocks[number](x)
    right: Tensor = (network.head(x).argmax(2) == labels).double().mean(1)
    return right


def without(random: np.random.Generator, depth: int, dropped: int) -> NDArray[np.int64]:
    """The blocks that are left, in order, when that many of them are dropped at random."""
    return np.sort(random.permutation(depth)[dropped:])


def swapped(random: np.random.Generator, depth: int, swaps: int) -> NDArray[np.int64]:
    """All blocks, after that many random pairs of them have changed places one after the other."""
    order = np.arange(depth)
    for _ in range(swaps if depth > 1 else 0):
        one, other = random.choice(depth, 2, replace=False)
        order[[one, other]] = order[[other, one]]
    return order
