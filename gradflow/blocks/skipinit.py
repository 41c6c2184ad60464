"""The residual block whose branch has a learnt factor (SkipInit: De and Smith 2020, arXiv 2002.10444, section 4)."""

from collections.abc import Callable

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit
from gradflow.theory import Branch


class SkipInit(Block):
    """``x -> x + a * relu(W x + b)`` with a number a that is learnt and starts at 1/sqrt(depth).

    The paper starts at 0 or at 1/sqrt(depth); starting at 0 makes it the block ``rezero``.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        start: The number a before training; None: 1/sqrt(depth).
    """

    writes = ("linear",)

    def __init__(self, kit: Kit, place: Place, *, start: float | None = None) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.scale = place.multiplier(1.0, 0.5) if start is None else start
        self.a = kit.parameter(start=self.scale)

    @property
    def relu_scale(self) -> Tensor:
        """The number a, for the step in C."""
        return self.a

    def branch(self, x: Tensor) -> Tensor:
        """``a * relu(W x + b)``."""
        return self.a * relu(self.linear(x))

    def theory(self, drawn: Callable[..., Branch]) -> Branch:
        """A ReLU branch whose scale is a before training."""
        return drawn(scale=self.scale)
