"""The block between plain and residual: a share of the stream is carried past the branch."""

from collections.abc import Callable

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit
from gradflow.theory import Branch


class Partial(Block):
    """``x -> skip * x + relu(W x + b)``.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        skip: Factor on the stream. 0 is the plain block, 1 the residual block with a scale of 1.
    """

    writes = ("linear",)

    def __init__(self, kit: Kit, place: Place, *, skip: float = 1.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.skip = skip

    def carry(self, x: Tensor) -> Tensor:
        """``skip * x``."""
        return self.skip * x

    def branch(self, x: Tensor) -> Tensor:
        """``relu(W x + b)``."""
        return relu(self.linear(x))

    def theory(self, drawn: Callable[..., Branch]) -> Branch | None:
        """That of the block that it is without the skip, or with all of it; theory has no line for those between."""
        return drawn(skip=self.skip == 1) if self.skip in (0, 1) else None
