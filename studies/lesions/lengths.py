"""The gradient of networks on two moons by path length, beside the binomial distribution."""

import math
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy

from gradflow import theory
from gradflow.instruments import paths
from gradflow.kit.block import Block
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.training.rows import Labelled


def table(network: Network, about: Mapping[str, Any], rows: Labelled, count: int) -> pd.DataFrame:
    """Split the gradient of the mean loss on the first rows by path length, in float64.

    Args:
        network: All seeds.
        about: What it is, from :func:`gradflow.moons.training.described`.
        rows: Points and labels.
        count: How many of them.

    Returns:
        Columns seed, length, energy and share (see :mod:`gradflow.instruments.paths`), binomial (the energy that theory
        expects before training; nan: there is no theory of the block) and error: how far the parts are from summing
        to the gradient that backpropagation finds, relative to it.
    """
    network = deepcopy(network).double()
    points, labels = (tensor[:count] for tensor in rows)
    stream = network.stem(training.stacked(points.double(), network)).detach()
    blocks = [cast("Block", block) for block in network.blocks]

    def losses(last: Tensor) -> Tensor:
        return torch.stack([cross_entropy(own, labels) for own in network.head(last)])

    parts = paths.by_length(blocks, stream, losses)
    x = stream.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(losses(network.blocks(x)).sum(), x)
    error = vector_norm(parts.sum(0) - gradient, dim=(1, 2)) / vector_norm(gradient, dim=(1, 2))
    lengths, seeds = parts.shape[:2]
    numbers = {"energy": paths.energies(parts), "share": paths.shares(parts)}
    expected = binomial(blocks[0], about)
    return pd.DataFrame(
        {
            "seed": [seed for seed in range(seeds) for _ in range(lengths)],
            "length": [*range(lengths)] * seeds,
            **{name: values.T.flatten() for name, values in numbers.items()},
            "binomial": expected * seeds,
            "error": error.repeat_interleave(lengths),
        }
    )


def binomial(block: Block, about: Mapping[str, Any]) -> list[float]:
    """What theory expects of the energies by path length: (depth + 1).

    A branch ``s relu(W x)`` passes on s^2 chi of the power that is carried past it, p / (1 - p) = s^2 chi.
    """
    depth = about["depth"]
    branch = block.theory(partial(theory.Branch.drawn, about["init"], depth, about["width"]))
    if branch is None:
        return [math.nan] * (depth + 1)
    power = branch.scale**2 * branch.chi
    p = power / (1 + power) if branch.skip else 1.0
    return [math.comb(depth, k) * p**k * (1 - p) ** (depth - k) for k in range(depth + 1)]
