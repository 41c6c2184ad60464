"""The interpolating block: one learnt gate, or one a unit, mixes branch and stream (after arXiv 1505.00387)."""

from typing import Literal

from torch import Tensor, nn, relu, sigmoid

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Gated(Block):
    """``x -> (1 - g) * x + g * relu(W x + b)`` with ``g = sigmoid(a)``.

    The block ``highway`` has a gate that reads the stream for each unit.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        gate: ``scalar``: a is one learnt number for all units; ``unit``: one each; ``input``: one for all units, a
            linear map of the stream.
        bias: a before training; of ``input``: the bias of its map.
    """

    def __init__(
        self, kit: Kit, place: Place, *, gate: Literal["scalar", "unit", "input"] = "scalar", bias: float = -2.0
    ) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.gate = kit.linear(place.width, 1) if gate == "input" else None
        self.a = None if self.gate else kit.parameter(place.width if gate == "unit" else 1, start=bias)
        self.bias = bias

    def _opening(self, x: Tensor) -> Tensor:
        if self.gate:
            return sigmoid(self.gate(x))
        assert self.a is not None
        return sigmoid(self.a)

    def carry(self, x: Tensor) -> Tensor:
        """``(1 - g) * x``."""
        return (1 - self._opening(x)) * x

    def branch(self, x: Tensor) -> Tensor:
        """``g * relu(W x + b)``."""
        return self._opening(x) * relu(self.linear(x))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both, with the gate computed once: ``x + g * (relu(W x + b) - x)``."""
        return x.lerp(relu(self.linear(x)), self._opening(x))

    def start(self) -> None:
        """Open a gate that reads the stream as far as ``bias`` says."""
        if self.gate:
            nn.init.constant_(self.gate.get_parameter("bias"), self.bias)
