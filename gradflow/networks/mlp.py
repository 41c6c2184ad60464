"""The multilayer perceptron of the recipe: a linear stem, blocks, a linear head."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gradflow.kit import network
from gradflow.kit.layers import Kit

FEATURES = 2
CLASSES = 2


class Network(network.Network):
    """``head(block_depth(... block_1(stem(x))))``, as in the recipe that the README describes.

    Args:
        kit: Makes its layers.
        block: Name of a block.
        settings: Keyword arguments of the block.
        widths: Units of the stream behind the stem and behind each block.
    """

    def __init__(self, kit: Kit, block: str, settings: dict[str, Any], widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = kit.linear(FEATURES, widths[0])
        self.blocks = network.blocks(kit, block, settings, widths)
        self.head = kit.linear(widths[-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Map points x (..., batch, 2) to logits (..., batch, 2)."""
        logits: Tensor = self.head(self.through(self.stem(x)))
        return logits
