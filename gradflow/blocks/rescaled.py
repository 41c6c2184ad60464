"""The rescaled residual block: the sum of stream and branch is scaled, so its power does not grow without bound."""

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Rescaled(Block):
    """``x -> scale * (x + relu(W x + b))``.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        scale: Factor on the sum. With 1/sqrt(2) the sum of two unrelated terms of equal power keeps that power, but
            what came in before fades by that factor with each block.
    """

    def __init__(self, kit: Kit, place: Place, *, scale: float = 0.7071067811865476) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.scale = scale

    def branch(self, x: Tensor) -> Tensor:
        """``relu(W x + b)``."""
        return relu(self.linear(x))

    def after(self, x: Tensor) -> Tensor:
        """``scale`` times the sum."""
        return self.scale * x
