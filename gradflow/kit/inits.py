"""How weights start: ``train.init`` names one of the functions in :data:`INITS`."""

import math
from collections.abc import Callable

import torch
from torch import nn

from gradflow.kit.block import Block
from gradflow.kit.layers import Kit
from gradflow.kit.network import Network


def default(network: Network) -> None:
    """PyTorch's own: U(-1/sqrt(n), 1/sqrt(n)) for weights and biases, as nn.Linear already drew them."""


def he(network: Network) -> None:
    """N(0, 2/n) weights and zero biases, which keep the power of a ReLU network (He et al. 2015, 1502.01852)."""
    _gaussian(network, 2.0)


def he_over_sqrt_depth(network: Network) -> None:
    """He's, with weights divided by sqrt(depth), so that depth residual branches add up to one (2010.12859)."""
    _gaussian(network, 2 / len(network.blocks))


def _gaussian(network: Network, power: float) -> None:
    """N(0, power/n) weights and zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=math.sqrt(power / module.in_features))
            nn.init.zeros_(module.bias)


INITS: dict[str, Callable[[Network], None]] = {
    "default": default,
    "he": he,
    "he_over_sqrt_depth": he_over_sqrt_depth,
}


def stack(make: Callable[[Kit], Network], *, seeds: int, init: str, seed: int) -> Network:
    """``seeds`` networks as one.

    Seed s of it is, to the bit, the ordinary network that ``make(Kit())`` builds right after
    ``torch.manual_seed(seed + s)``, whatever the number of seeds.

    Args:
        make: Makes a network of the layers of a kit.
        seeds: Number of networks.
        init: A key of :data:`INITS`.
        seed: Seed of the first one.
    """
    network = make(Kit(seeds))
    parameters = dict(network.named_parameters())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for s in range(seeds):
            torch.manual_seed(seed + s)
            single = make(Kit())
            INITS[init](single)
            for block in single.blocks:
                assert isinstance(block, Block)
                block.start()
            for name, value in single.named_parameters():
                parameters[name][s] = value
    return network
