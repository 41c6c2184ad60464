"""The residual block whose branch reads a normalised stream (pre-LN: Xiong et al. 2020, arXiv 2002.04745)."""

from typing import Literal

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class PreNorm(Block):
    """``x -> x + scale * relu(W norm(x) + b)``: the stream itself is never normalised, so it grows with depth.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        norm: ``layer`` or ``rms``.
        scale: Factor on the branch.
    """

    def __init__(self, kit: Kit, place: Place, *, norm: Literal["layer", "rms"] = "layer", scale: float = 1.0) -> None:
        super().__init__()
        self.norm = kit.norm(norm, place.width)
        self.linear = kit.linear(place.width, place.width)
        self.scale = scale

    def branch(self, x: Tensor) -> Tensor:
        """``scale * relu(W norm(x) + b)``."""
        return self.scale * relu(self.linear(self.norm(x)))
