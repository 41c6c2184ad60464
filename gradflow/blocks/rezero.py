"""The residual block whose branch starts at nothing (ReZero: Bachlechner et al. 2020, arXiv 2003.04887)."""

from collections.abc import Callable

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit
from gradflow.theory import Branch


class ReZero(Block):
    """``x -> x + a * relu(W x + b)`` with a number a that is learnt.

    With a = 0 the block is the identity, and its gradient with respect to the stream too, whatever W. The
    number stands after the ReLU: a W of 0 before it would stay 0, since PyTorch takes relu'(0) = 0.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        start: The number a before training.
    """

    writes = ("linear",)

    def __init__(self, kit: Kit, place: Place, *, start: float = 0.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.a = kit.parameter(start=start)
        self.scale = start

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
