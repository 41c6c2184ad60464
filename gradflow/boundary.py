"""A trained network as a function on the plane: the probability of the second class on a grid of points."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gradflow.data.dataset import Extent
from gradflow.kit.network import Network

SIZE = 100  # points along each edge
_NUMBERS_AT_ONCE = 2**22  # numbers in the stream of all seeds: keeps memory small at any size


@torch.inference_mode()
def probabilities(network: Network, extent: Extent, seeds: Sequence[int]) -> NDArray[np.float32]:
    """Probability of the second class at the points of a grid.

    Args:
        network: A stacked network on points (seeds, rows, 2).
        extent: x1 of the left and right, x2 of the lower and upper column and row.
        seeds: Which of its seeds to look at.

    Returns:
        (seeds, SIZE, SIZE), from the lower left corner, x2 along the first axis of a grid.
    """
    torch.set_num_threads(1)  # the same sums, hence the same picture, on any number of cores
    weight = next(network.parameters())
    all_seeds = len(weight)
    x2, x1 = torch.meshgrid(torch.linspace(*extent[2:], SIZE), torch.linspace(*extent[:2], SIZE), indexing="ij")
    points = torch.stack([x1.flatten(), x2.flatten()], 1).to(weight.device)
    widest = max(each.weight.shape[-2] for each in network.linear_maps())
    rows = max(1, _NUMBERS_AT_ONCE // (all_seeds * widest))
    parts = [network(part.expand(all_seeds, -1, -1)).softmax(2)[..., 1] for part in torch.split(points, rows)]
    return torch.cat(parts, 1)[list(seeds)].view(len(seeds), SIZE, SIZE).cpu().numpy()
