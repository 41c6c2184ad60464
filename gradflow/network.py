"""The networks: a stem, ``depth`` blocks on a stream of constant width, a head; one seed or many at once.

A network is written once. Built with ``nn.Linear`` it is an ordinary module on x ``(batch, 2)``; built
with :func:`stacked`, each parameter has a leading seeds axis and the same code maps
``(seeds, batch, 2)``, every seed with weights of its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gradflow import catalogue

FEATURES = 2
CLASSES = 2

LinearFactory = Callable[[int, int], nn.Module]


class StackedLinear(nn.Module):
    """``seeds`` linear maps side by side: weight (seeds, outputs, inputs), bias (seeds, outputs)."""

    def __init__(self, seeds: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(seeds, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(seeds, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (seeds, batch, inputs) to (seeds, batch, outputs)."""
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.mT)


def blocks_of(block: str, settings: dict[str, Any], depth: int, width: int, linear: LinearFactory) -> nn.Sequential:
    """``block_depth(... block_1(x))``; for the arguments see :class:`Network`."""
    make_block = catalogue.block(block)
    return nn.Sequential(*(make_block(width, linear, **settings) for _ in range(depth)))


class Trunk(nn.Module):
    """The blocks alone, without stem and head; for the arguments see :class:`Network`."""

    def __init__(
        self, block: str, settings: dict[str, Any], depth: int, width: int, linear: LinearFactory = nn.Linear
    ) -> None:
        super().__init__()
        self.blocks = blocks_of(block, settings, depth, width, linear)

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream x (..., batch, width) to the last one, of the same shape."""
        last: Tensor = self.blocks(x)
        return last


def stacked(seeds: int) -> LinearFactory:
    """A factory of linear maps with a leading seeds axis."""
    return partial(StackedLinear, seeds)


class Network(nn.Module):
    """``head(block_depth(... block_1(stem(x))))``, as in the recipe that the README describes.

    Args:
        block: Name of a block, see :mod:`gradflow.catalogue`.
        settings: Keyword arguments of the block.
        depth: Number of blocks.
        width: Units of the stream.
        linear: Makes a linear map from its input and output sizes.
    """

    def __init__(
        self, block: str, settings: dict[str, Any], depth: int, width: int, linear: LinearFactory = nn.Linear
    ) -> None:
        super().__init__()
        self.stem = linear(FEATURES, width)
        self.blocks = blocks_of(block, settings, depth, width, linear)
        self.head = linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map points x (..., batch, 2) to logits (..., batch, 2)."""
        logits: Tensor = self.head(self.blocks(self.stem(x)))
        return logits

    def linears(self) -> list[nn.Module]:
        """The linear maps by layer: stem (0), one a block (1..depth), head (depth + 1)."""
        return [self.stem, *(block.get_submodule("linear") for block in self.blocks), self.head]
