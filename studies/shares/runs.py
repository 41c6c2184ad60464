"""Networks whose branches see a share of the rows, by chance: answers, and growth of stream and gradient."""

from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gradflow.kit.block import Block
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.theory import Branch
from studies.shares.passes import passed


def run(
    network: Network, points: Tensor, labels: Tensor, share: float, weight: float, init: str, seed: int
) -> pd.DataFrame:
    """Run a network with each row in a share of the branches.

    Args:
        network: A stacked one.
        points: (rows, 2).
        labels: (rows,).
        share: The probability with which a row goes through a branch.
        weight: Factor on what the branch then adds.
        init: From which weights it started.
        seed: Of which rows go through, and of the gradient at the end, which is normal.

    Returns:
        A row a seed: seed; accuracy; growth of stream and gradient as :func:`studies.shares.passes.passed` has it; and
        law, what :mod:`studies.shares.growth` says of both before training, nan for blocks that it does not know.
    """
    random = np.random.default_rng(seed)
    with torch.no_grad():
        first = network.stem(training.stacked(points, network))
    shape = (len(network.blocks), *first.shape[:2])
    weights = torch.from_numpy(weight * (random.random(shape) < share))
    last = torch.from_numpy(random.standard_normal(first.shape)).to(first.dtype)
    x, stream, gradient = passed([[*network.blocks]], first, [weights], last)
    with torch.no_grad():
        right = network.head(x).argmax(2) == labels
    return pd.DataFrame(
        {
            "seed": range(len(x)),
            "accuracy": right.double().mean(1),
            "stream": stream,
            "gradient": gradient,
            "law": law(network, init, share, weight),
        }
    )


def law(network: Network, init: str, share: float, weight: float) -> float:
    """``(1 + share weight^2 alpha^2 chi)^(depth / 2)``; nan where theory has no line for the blocks."""
    block, depth = network.blocks[0], len(network.blocks)
    assert isinstance(block, Block)
    width = network.stem.get_parameter("bias").shape[-1]
    branch = block.theory(partial(Branch.drawn, init, depth, width))
    if branch is None:
        return float("nan")
    return float((1 + share * (weight * branch.scale) ** 2 * branch.chi) ** (depth / 2))
