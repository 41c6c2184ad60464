"""Networks whose branches see a share of the rows, by chance: answers, and growth of stream and gradient."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gradflow.moons import training
from gradflow.networks.mlp import Network
from studies.shares.size import size


def run(network: Network, points: Tensor, labels: Tensor, share: float, weight: float, seed: int) -> pd.DataFrame:
    """Run a network with each row in a share of the branches.

    Args:
        network: A stacked one.
        points: (rows, 2).
        labels: (rows,).
        share: The probability with which a row goes through a branch.
        weight: Factor on what the branch then adds.
        seed: Of which rows do, and of the gradient at the end.

    Returns:
        A row a seed: seed; accuracy; stream, ||x_depth|| / ||x_0||, and gradient, ||dx_0|| / ||dx_depth|| for a normal
        gradient at the end, root mean squares over rows.
    """
    random = np.random.default_rng(seed)
    with torch.no_grad():
        first = network.stem(training.stacked(points, network))
    first.requires_grad_()
    x = first
    for block in network.blocks:
        passes = torch.from_numpy(random.random(x.shape[:2]) < share)
        x = torch.lerp(x, block(x), weight * passes.unsqueeze(2).to(x.dtype))
    last = torch.from_numpy(random.standard_normal(x.shape)).to(x.dtype)
    (back,) = torch.autograd.grad((x * last).sum(), first)
    right = network.head(x).argmax(2) == labels
    return pd.DataFrame(
        {
            "seed": range(len(x)),
            "accuracy": right.double().mean(1),
            "stream": size(x.detach()) / size(first.detach()),
            "gradient": size(back) / size(last),
        }
    )
