"""The residual block with a norm before and behind its branch (Peri-LN: Kim et al. 2025, arXiv 2502.02732)."""

from typing import Literal

from torch import Tensor, relu

from gradflow.kit.block import Block, Place, scaled
from gradflow.kit.layers import Kit


class PeriNorm(Block):
    """``x -> x + scale * norm2(W2 relu(W1 norm(x) + b1) + b2)``.

    However large the weights are, what a block adds has the same power, so that of the stream grows by one branch with
    each block at the start.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        norm: ``layer`` or ``rms``, both norms.
        scale: Factor on the branch.
    """

    writes = ("out",)

    def __init__(self, kit: Kit, place: Place, *, norm: Literal["layer", "rms"] = "layer", scale: float = 1.0) -> None:
        super().__init__()
        self.norm = kit.norm(norm, place.width)
        self.linear = kit.linear(place.width, place.width)
        self.out = kit.linear(place.width, place.width)
        self.norm2 = kit.norm(norm, place.width)
        self.scale = scale

    def branch(self, x: Tensor) -> Tensor:
        """``scale * norm2(W2 relu(W1 norm(x) + b1) + b2)``."""
        return scaled(self.scale, self.norm2(self.out(relu(self.linear(self.norm(x))))))
