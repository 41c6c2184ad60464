"""The same blocks for all rows, chosen greedily."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gradflow.networks.mlp import Network
from studies.routing.routers.router import Added, Router


class Fixed(Router):
    """Scores by block alone: those that can be missed best are the smallest.

    From the whole network on, that block is taken out next without which the loss on some rows is smallest.

    Args:
        network: A stacked one; each seed has an order of its own.
        points: (seeds, rows, 2).
        labels: (rows,).
    """

    def __init__(self, network: Network, points: Tensor, labels: Tensor) -> None:
        depth, seeds = len(network.blocks), len(points)
        self._scores = torch.full((depth, seeds), float(depth))
        left = torch.ones(depth, seeds, dtype=torch.bool)
        for place in range(depth):
            losses = torch.stack([_without(network, points, labels, left, block) for block in range(depth)])
            losses[~left] = torch.inf
            worst = losses.argmin(0)
            self._scores[worst, torch.arange(seeds)] = float(place)
            left[worst, torch.arange(seeds)] = False

    def scores(self, block: int, x: Tensor, added: Added) -> Tensor:
        """See :meth:`Router.scores`."""
        return self._scores[block, :, None].expand(x.shape[:2])


@torch.inference_mode()
def _without(network: Network, points: Tensor, labels: Tensor, left: Tensor, dropped: int) -> Tensor:
    """The losses (seeds,) of the blocks that are left (depth, seeds), without a further one."""
    x = network.stem(points)
    for number, block in enumerate(network.blocks):
        if number != dropped:
            x = torch.where(left[number, :, None, None], block(x), x)
    return torch.stack([cross_entropy(own, labels) for own in network.head(x)])
