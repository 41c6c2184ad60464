"""How weights start: ``train.init`` names one of the functions in :data:`INITS`."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn

from gradflow.network import LinearFactory, Network, stacked

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


def default(network: nn.Module) -> None:
    """PyTorch's own: U(-1/sqrt(n), 1/sqrt(n)) for weights and biases, as nn.Linear already drew them."""


def he(network: nn.Module) -> None:
    """N(0, 2/n) weights and zero biases, which keep the power of a ReLU network (He et al. 2015, 1502.01852)."""
    _gaussian(network, 2.0)


def he_over_sqrt_depth(network: nn.Module) -> None:
    """He's, with weights divided by sqrt(depth), so that depth residual branches add up to one (2010.12859)."""
    _gaussian(network, 2 / len(list(network.get_submodule("blocks").children())))


def _gaussian(network: nn.Module, power: float) -> None:
    """N(0, power/n) weights and zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=math.sqrt(power / module.in_features))
            nn.init.zeros_(module.bias)


INITS: dict[str, Callable[[nn.Module], None]] = {"default": default, "he": he, "he_over_sqrt_depth": he_over_sqrt_depth}


def initialised(
    block: str, settings: dict[str, Any], depth: int, width: int, *, seeds: int, init: str, seed: int
) -> Network:
    """A network of ``seeds`` stacked networks; for the rest see :func:`stack`."""
    return stack(partial(Network, block, settings, depth, width), seeds=seeds, init=init, seed=seed)


def stack(make: Callable[[LinearFactory], AnyNetwork], *, seeds: int, init: str, seed: int) -> AnyNetwork:
    """``seeds`` networks as one.

    Seed s of it is, to the bit, the ordinary network that ``make(nn.Linear)`` builds right after
    ``torch.manual_seed(seed + s)``, whatever the number of seeds.

    Args:
        make: Makes a network of the linear maps that it is given.
        seeds: Number of networks.
        init: A key of :data:`INITS`.
        seed: Seed of the first one.
    """
    network = make(stacked(seeds))
    parameters = dict(network.named_parameters())
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for s in range(seeds):
            torch.manual_seed(seed + s)
            single = make(nn.Linear)
            INITS[init](single)
            for name, value in single.named_parameters():
                parameters[name][s] = value
    return network
