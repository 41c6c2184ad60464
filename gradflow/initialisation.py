"""How weights start: ``train.init`` names one of the functions in :data:`INITS`."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gradflow.network import Network, stacked


def default(network: nn.Module) -> None:
    """PyTorch's own: U(-1/sqrt(n), 1/sqrt(n)) for weights and biases, as nn.Linear already drew them."""


def he(network: nn.Module) -> None:
    """N(0, 2/n) weights and zero biases, which keep the power of a ReLU network (He et al. 2015, 1502.01852)."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=math.sqrt(2 / module.in_features))
            nn.init.zeros_(module.bias)


INITS: dict[str, Callable[[nn.Module], None]] = {"default": default, "he": he}


def initialised(
    block: str, settings: dict[str, Any], depth: int, width: int, *, seeds: int, init: str, seed: int
) -> Network:
    """A network of ``seeds`` stacked networks.

    Seed s of it is, to the bit, the ordinary network that is built right after
    ``torch.manual_seed(seed + s)``, whatever the number of seeds.
    """
    network = Network(block, settings, depth, width, linear=stacked(seeds))
    parameters = dict(network.named_parameters())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for s in range(seeds):
            torch.manual_seed(seed + s)
            single = Network(block, settings, depth, width)
            INITS[init](single)
            for name, value in single.named_parameters():
                parameters[name][s] = value
    return network
