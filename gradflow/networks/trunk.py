"""The blocks alone: what goes in and what comes out are streams."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from gradflow.kit import network
from gradflow.kit.layers import Kit


class Network(network.Network):
    """``block_depth(... block_1(x))``; for the arguments see :class:`gradflow.networks.mlp.Network`."""

    def __init__(self, kit: Kit, block: str, settings: dict[str, Any], widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = network.blocks(kit, block, settings, widths)

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream x (..., batch, width) to the last one."""
        return self.through(x)
