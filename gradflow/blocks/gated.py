"""The interpolating block: a gate that is learnt, and does not look at the stream, mixes branch and stream.

It is a highway block (arXiv 1505.00387) whose gate has no input.
"""

from typing import Literal

from torch import Tensor, relu, sigmoid

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Gated(Block):
    """``x -> (1 - g) * x + g * relu(W x + b)`` with ``g = sigmoid(a)`` and an a that is learnt.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        gate: ``scalar``: one a for all units; ``unit``: one each.
        bias: a before training.
    """

    def __init__(
        self, kit: Kit, place: Place, *, gate: Literal["scalar", "unit"] = "scalar", bias: float = -2.0
    ) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.a = kit.parameter(1 if gate == "scalar" else place.width, start=bias)

    def carry(self, x: Tensor) -> Tensor:
        """``(1 - g) * x``."""
        return (1 - sigmoid(self.a)) * x

    def branch(self, x: Tensor) -> Tensor:
        """``g * relu(W x + b)``."""
        return sigmoid(self.a) * relu(self.linear(x))
