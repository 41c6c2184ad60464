"""The threshold at which a policy runs a given share of all blocks, chosen on train rows."""

import torch
from torch import Tensor

from gradflow.networks.mlp import Network
from studies.routing.routers.router import Router, masked

_HALVINGS = 12


def chosen(network: Network, points: Tensor, router: Router, share: float) -> Tensor:
    """Thresholds (seeds,), each the best of those that bisection looks at.

    Looked for are quantiles of the scores in the whole network. What is skipped changes the streams behind it, so the
    share that runs is not the share of scores above, but falls with it, or nearly so.

    Args:
        network: A stacked one.
        points: (seeds, rows, 2), to choose by.
        router: The policy.
        share: Of blocks to run, over all rows; 1: all of them.
    """
    seeds = len(points)
    everything = torch.full((seeds,), -torch.inf, dtype=torch.float64)
    if share == 1:
        return everything
    scores = masked(network, points, router, everything).scores.double().transpose(0, 1).flatten(1)
    scores = scores.sort(1).values
    low, high = torch.zeros(seeds, dtype=torch.float64), torch.ones(seeds, dtype=torch.float64)
    best, away = everything, torch.full((seeds,), torch.inf, dtype=torch.float64)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        place = (middle * (scores.shape[1] - 1)).round().long()
        threshold = scores.gather(1, place[:, None]).squeeze(1)
        ran = masked(network, points, router, threshold).ran.double().mean((0, 2))
        better = (ran - share).abs() < away
        best, away = threshold.where(better, best), (ran - share).abs().where(better, away)
        low, high = middle.where(ran > share, low), high.where(ran > share, middle)
    return best
