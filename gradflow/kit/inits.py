"""How weights start: ``train.init`` names one of the functions in :data:`INITS`."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gradflow.kit.block import Block
from gradflow.kit.layers import Kit
from gradflow.kit.network import Network


def default(network: Network) -> None:
    """U(-1/sqrt(n), 1/sqrt(n)) weights and biases, as PyTorch's layers have already drawn them."""


def he(network: Network) -> None:
    """N(0, 2/n) weights and zero biases, which keep the power of a ReLU network (He et al. 2015, 1502.01852)."""
    _gaussian(network, 2.0)


def he_over_sqrt_depth(network: Network) -> None:
    """He's, with weights divided by sqrt(depth), so that depth residual branches add up to one (2010.12859)."""
    _gaussian(network, 2 / len(network.blocks))


def xavier(network: Network) -> None:
    """N(0, 2/(inputs + outputs)) weights and zero biases (Glorot and Bengio 2010, PMLR 9:249-256).

    Inputs and outputs are units, for convolutions channels times the pixels of a window.
    """
    _draw(network, nn.init.xavier_normal_)


def orthogonal(network: Network) -> None:
    """Orthogonal weights and zero biases (Saxe et al. 2014, arXiv 1312.6120)."""
    _draw(network, nn.init.orthogonal_)


def lecun(network: Network) -> None:
    """N(0, 1/n) weights and zero biases, which keep the power of a linear network (LeCun et al. 1998, section 4.6)."""
    _gaussian(network, 1.0)


def gpt2(network: Network) -> None:
    """LeCun's, with maps that add to the stream divided by sqrt(depth).

    The last is the rule of GPT-2 (Radford et al. 2019, section 2.3), which divides by the square root of the number of
    branches. Its standard deviation of 0.02 is about 1/sqrt(n) at the width of large models, but not at that of these.
    """
    lecun(network)
    for block in network.blocks:
        assert isinstance(block, Block)
        for name in block.writes:
            block.get_parameter(f"{name}.weight").div_(math.sqrt(len(network.blocks)))


def _gaussian(network: Network, power: float) -> None:
    """N(0, power/n) weights and zero biases; n is the number of inputs of a unit, or of a pixel, of all its window."""
    _draw(network, lambda weight: nn.init.normal_(weight, std=math.sqrt(power / weight[0].numel())))


def _draw(network: Network, weights: Callable[[Tensor], object]) -> None:
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            weights(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


INITS: dict[str, Callable[[Network], None]] = {
    "default": default,
    "he": he,
    "he_over_sqrt_depth": he_over_sqrt_depth,
    "xavier": xavier,
    "orthogonal": orthogonal,
    "lecun": lecun,
    "gpt2": gpt2,
}


def stack(
    make: Callable[[Kit], Network], *, seeds: int, init: str, seed: int, kit: Callable[[int], Kit] = Kit
) -> Network:
    """``seeds`` networks as one.

    Whatever the number of seeds, seed s of it has, to the bit, the parameters and buffers of the ordinary network that
    ``make(Kit())`` builds right after ``torch.manual_seed(seed + s)``, whose weights ``init`` draws, and which then
    starts.

    Args:
        make: Makes a network of the layers of a kit.
        seeds: Number of networks.
        init: A key of :data:`INITS`.
        seed: Seed of the first one.
        kit: Makes the kit for that many networks.
    """
    network = make(kit(seeds))
    whole = network.state_dict()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for s in range(seeds):
            torch.manual_seed(seed + s)
            single = make(Kit())
            INITS[init](single)
            single.start()
            for name, value in single.state_dict().items():
                whole[name][s] = value
    return network
