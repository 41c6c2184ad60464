"""The perceptron of a regression: a linear stem, blocks, a layer norm, a linear head with one output."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gradflow.kit import network
from gradflow.kit.layers import Kit


class Network(network.Network):
    """``head(norm(block_depth(... block_1(stem(x)))))``, built like a pre-norm transformer.

    The norm is there because pre-norm blocks leave their stream as large as it gets. Inputs have as many features as
    the stream has units. For the arguments see :class:`gradflow.networks.mlp.Network`.
    """

    def __init__(self, kit: Kit, block: str, settings: dict[str, Any], widths: Sequence[int]) -> None:
        super().__init__()
        self.stem = kit.linear(widths[0], widths[0])
        self.blocks = network.blocks(kit, block, settings, widths)
        self.norm = kit.norm("layer", widths[-1])
        self.head = kit.linear(widths[-1], 1)

    def stream(self, x: Tensor) -> Tensor:
        """Map inputs (..., batch, width) to the stream behind the last block."""
        return self.through(self.stem(x))

    def read(self, last: Tensor) -> Tensor:
        """Map that stream to outputs (..., batch, 1)."""
        outputs: Tensor = self.head(self.norm(last))
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (..., batch, width) to outputs (..., batch, 1)."""
        return self.read(self.stream(x))
