"""The residual block that can change the width of its stream (He et al. 2015, arXiv 1512.03385, equation 2)."""

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Projection(Block):
    """``x -> P x + scale * relu(W x + b)``, where P is a learnt map if the width changes, and else the identity.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        scale: Factor on the branch.
    """

    writes = ("linear",)
    changes_width = True

    def __init__(self, kit: Kit, place: Place, *, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.out)
        self.projection = kit.linear(place.width, place.out, bias=False) if place.width != place.out else None
        self.scale = scale

    def carry(self, x: Tensor) -> Tensor:
        """``P x``."""
        carried: Tensor = x if self.projection is None else self.projection(x)
        return carried

    def branch(self, x: Tensor) -> Tensor:
        """``scale * relu(W x + b)``."""
        return self.scale * relu(self.linear(x))
