"""The residual block: each layer adds to the stream (He et al. 2015, arXiv 1512.03385)."""

from collections.abc import Callable

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit
from gradflow.theory import Branch


class Residual(Block):
    """``x -> x + c * relu(W x + b)`` with ``c = scale / depth^exponent``.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        scale: Factor on the branch. With a constant one the power of the stream grows exponentially with
            depth, also with 1/sqrt(2); with 1/sqrt(depth) it still grows, since a ReLU's branch has a positive
            mean, but through 20 blocks at the start only by 48 with He's weights, by 3 with the default ones.
        exponent: 0: the scale whatever the depth; 1/2: divided by sqrt(depth) (arXiv 2010.12859); 1: by the depth
            (arXiv 2505.01618).
    """

    writes = ("linear",)

    def __init__(self, kit: Kit, place: Place, *, scale: float = 1.0, exponent: float = 0.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.scale = self.relu_scale = place.multiplier(scale, exponent)

    def branch(self, x: Tensor) -> Tensor:
        """``c * relu(W x + b)``."""
        return self.scale * relu(self.linear(x))

    def theory(self, drawn: Callable[..., Branch]) -> Branch:
        """A ReLU branch with its scale."""
        return drawn(scale=self.scale)
