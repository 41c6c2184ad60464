"""The bottleneck block: a branch through fewer units (He et al. 2015, arXiv 1512.03385, figure 5; here dense)."""

from torch import Tensor, relu

from gradflow.kit.block import Block, Place, scaled
from gradflow.kit.layers import Kit


class Bottleneck(Block):
    """``x -> x + scale * W3 relu(W2 relu(W1 x))``, each map with its bias; W2 has width / reduction units.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        reduction: How many times fewer units the inner map has, rounded down to at least one unit;
            less than 1 counts as 1.
        scale: Factor on the branch.
    """

    writes = ("out",)

    def __init__(self, kit: Kit, place: Place, *, reduction: int = 4, scale: float = 1.0) -> None:
        super().__init__()
        inner = max(1, place.width // max(1, reduction))
        self.linear = kit.linear(place.width, inner)
        self.inner = kit.linear(inner, inner)
        self.out = kit.linear(inner, place.width)
        self.scale = scale

    def branch(self, x: Tensor) -> Tensor:
        """``scale * W3 relu(W2 relu(W1 x))``."""
        return scaled(self.scale, self.out(relu(self.inner(relu(self.linear(x))))))
