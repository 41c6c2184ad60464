"""The residual block whose branch ends in a linear map: what it adds has no mean (arXiv 1603.05027, 4.1)."""

from collections.abc import Callable

from torch import Tensor, relu

from gradflow.kit.block import Block, Place, scaled
from gradflow.kit.layers import Kit
from gradflow.theory import Branch


class LinearTerminated(Block):
    """``x -> x + c * (W2 relu(W1 x + b1) + b2)`` with ``c = scale / depth^exponent``.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        scale: Factor on the branch.
        exponent: Of the depth, by whose power the scale is divided, as in the block ``residual``.
    """

    writes = ("out",)

    def __init__(self, kit: Kit, place: Place, *, scale: float = 1.0, exponent: float = 0.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.out = kit.linear(place.width, place.width)
        self.scale = place.multiplier(scale, exponent)

    def branch(self, x: Tensor) -> Tensor:
        """``c * (W2 relu(W1 x + b1) + b2)``."""
        return scaled(self.scale, self.out(relu(self.linear(x))))

    def theory(self, drawn: Callable[..., Branch]) -> Branch:
        """A ReLU branch with a second linear map behind it."""
        return drawn(scale=self.scale, second=True)
