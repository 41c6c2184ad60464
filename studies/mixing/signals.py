"""What mixed networks do to gradients, which of their branches are large, and what each block reads of earlier ones."""

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy

from gradflow.kit import layers
from gradflow.kit.block import Block
from gradflow.moons import training
from gradflow.networks.mlp import Network

Numbers = NDArray[np.float64]
_SHUT = -1e4  # whose sigmoid is 0


@dataclass(frozen=True)
class Pass:
    """Of one pass forward and back.

    Attributes:
        stream_ratio: (seeds,), ||dLoss/dx_0|| / ||dLoss/dx_L||, x_0 what the stem makes, x_L what the head reads.
        layers: Columns seed, layer, weight_grad_norm, the norm of dLoss/dW of all linear maps of block l, and branch,
            the root mean square of what its branch makes, over rows and units.
    """

    stream_ratio: Numbers
    layers: pd.DataFrame


def passed(network: Network, points: Tensor, labels: Tensor) -> Pass:
    """Measure the gradient of the mean loss on points (rows, 2)."""
    read: list[Tensor] = []

    def reads(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        read.append(inputs[0].detach())

    first = [next(iter(layers.linear_maps(block).values())) for block in network.blocks]
    hooks = [each.register_forward_pre_hook(reads) for each in first]
    maps = [each for each in network.linear_maps() if 1 <= each.layer <= len(first)]
    ratio, of_weights = _back(network, points, labels, [each.weight for each in maps])
    for hook in hooks:
        hook.remove()
    squares = torch.zeros(len(first), len(ratio), dtype=torch.float64)
    for each, gradient in zip(maps, of_weights, strict=True):
        squares[each.layer - 1] += gradient.double().square().sum((1, 2))
    with torch.no_grad():
        branches = [_branch(block, before) for block, before in zip(network.blocks, read, strict=True)]
    size = torch.stack([each.double().square().mean((1, 2)).sqrt() for each in branches])
    depth, seeds = size.shape
    table = pd.DataFrame(
        {
            "seed": [seed for seed in range(seeds) for _ in range(depth)],
            "layer": [*range(1, depth + 1)] * seeds,
            "weight_grad_norm": squares.sqrt().T.flatten(),
            "branch": size.T.flatten(),
        }
    )
    return Pass(ratio, table)


def _back(
    network: Network, points: Tensor, labels: Tensor, weights: Sequence[Tensor]
) -> tuple[Numbers, tuple[Tensor, ...]]:
    """``stream_ratio``, and the gradients of weights."""
    x = network.stem(training.stacked(points, network))
    last = network.through(x)
    total = torch.stack([cross_entropy(own, labels) for own in network.head(last)]).sum()
    first, behind, *of_weights = torch.autograd.grad(total, [x, last, *weights])
    norms = [vector_norm(each.double(), dim=(1, 2)) for each in (first, behind)]
    ratio: Numbers = (norms[0] / norms[1]).numpy()
    return ratio, tuple(of_weights)


def _branch(block: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(block, Block)
    return block.branch(x)


@torch.inference_mode()
def accuracy(network: Network, points: Tensor, labels: Tensor) -> Numbers:
    """Share of rows whose class is right: (seeds,)."""
    right = network(training.stacked(points, network)).argmax(2) == labels
    found: Numbers = right.double().mean(1).numpy()
    return found


@torch.inference_mode()
def gap(network: Network, without: Network, points: Tensor) -> Numbers:
    """Largest distance of a logit from that of the network without mixing: (seeds,), nan where nothing is mixed."""
    if network.mixing is None:
        return np.full(len(next(network.parameters())), np.nan)
    stacked = training.stacked(points, network)
    found: Numbers = (network(stacked) - without(stacked)).abs().amax((1, 2)).double().numpy()
    return found


def numbers(network: Network) -> int:
    """How many numbers a network of one seed learns."""
    return sum(parameter[0].numel() for parameter in network.parameters())


def shut(network: Network, points: Tensor, labels: Tensor) -> Numbers:
    """``stream_ratio`` with all gates forced shut: (seeds,), nan for blocks without gates a and b."""
    network = deepcopy(network)
    for block in network.blocks:
        gates = dict(block.named_parameters(recurse=False))
        if set(gates) != {"a", "b"}:
            return np.full(len(next(network.parameters())), np.nan)
        for gate in gates.values():
            nn.init.constant_(gate, _SHUT)
    return _back(network, points, labels, [])[0]


def floor(network: Network) -> float:
    """What theory says of :func:`shut`: the product of what each block carries then, rho; nan for other blocks."""
    return math.prod(float(getattr(block, "rho", math.nan)) for block in network.blocks)


@torch.inference_mode()
def shares(network: Network, points: Tensor) -> pd.DataFrame:
    """What the stream behind each block is made of.

    Returns:
        Columns seed, layer (the block, from 1 on), source (0: the stem; j: block j) and share, a mean over the rows; no
        rows for networks that have no such shares.
    """
    columns = {"seed": [0], "layer": [0], "source": [0], "share": [0.0]}
    found = [pd.DataFrame(columns).iloc[:0]]
    mixing = network.mixing
    of_all = mixing and mixing.weights(network.blocks, network.stem(training.stacked(points, network)))
    for layer, own in enumerate(of_all or [], start=1):
        of_seeds = own.double().mean(1)
        seeds, sources = of_seeds.shape
        columns = {
            "seed": [seed for seed in range(seeds) for _ in range(sources)],
            "layer": [layer] * (seeds * sources),
            "source": [*range(sources)] * seeds,
            "share": of_seeds.flatten().tolist(),
        }
        found.append(pd.DataFrame(columns))
    return pd.concat(found[1:] or found, ignore_index=True)
