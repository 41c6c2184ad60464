"""The rescaled residual block: the sum of stream and branch is scaled, so what came in early fades with depth."""

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Rescaled(Block):
    """``x -> scale * (x + relu(W x + b))``.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        scale: Factor on the sum, by which what came in before fades with each block. With 1/sqrt(2) the sum of two
            unrelated terms of equal power keeps that power, but these two are neither: a ReLU's branch has a positive
            mean, which adds up with that of the stream. At the start 20 blocks multiply the power by about 1000 with
            He's weights, and divide it by about 30 with the default ones, whose branches are weak.
    """

    writes = ("linear",)

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
