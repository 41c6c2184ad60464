"""The residual block that normalises the sum (post-LN, as in the first Transformer: arXiv 1706.03762, 3.1)."""

from typing import Literal

from torch import Tensor, relu

from gradflow.kit.block import Block, Place, scaled
from gradflow.kit.layers import Kit


class PostNorm(Block):
    """``x -> norm(x + scale * (W2 relu(W1 x + b1) + b2))``.

    The stream keeps its power, and all gradients pass through the norms.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        norm: ``layer`` or ``rms``.
        scale: Factor on the branch.
    """

    writes = ("out",)

    def __init__(self, kit: Kit, place: Place, *, norm: Literal["layer", "rms"] = "layer", scale: float = 1.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.out = kit.linear(place.width, place.width)
        self.norm = kit.norm(norm, place.width)
        self.scale = scale

    def branch(self, x: Tensor) -> Tensor:
        """``scale * (W2 relu(W1 x + b1) + b2)``."""
        return scaled(self.scale, self.out(relu(self.linear(x))))

    def after(self, x: Tensor) -> Tensor:
        """The sum, normalised."""
        normalised: Tensor = self.norm(x)
        return normalised
