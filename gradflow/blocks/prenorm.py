"""The residual block whose branch reads a normalised stream (pre-LN: Xiong et al. 2020, arXiv 2002.04745)."""

from typing import Literal

from torch import Tensor, relu

from gradflow.kit.block import Block, Place, scaled
from gradflow.kit.layers import Kit


class PreNorm(Block):
    """``x -> x + c * (W2 relu(W1 norm(x) + b1) + b2)`` with ``c = scale / depth^exponent``.

    The stream itself is never normalised: at the start its power grows by that of a branch with each block.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        norm: ``layer`` or ``rms``.
        scale: Factor on the branch.
        exponent: 0: whatever the depth; 1/2: the branches together add as much at any depth (arXiv 2010.12859);
            1: less, the rule of CompleteP (arXiv 2505.01618).
    """

    writes = ("out",)

    def __init__(
        self,
        kit: Kit,
        place: Place,
        *,
        norm: Literal["layer", "rms"] = "layer",
        scale: float = 1.0,
        exponent: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm = kit.norm(norm, place.width)
        self.linear = kit.linear(place.width, place.width)
        self.out = kit.linear(place.width, place.width)
        self.scale = place.multiplier(scale, exponent)

    def branch(self, x: Tensor) -> Tensor:
        """``c * (W2 relu(W1 norm(x) + b1) + b2)``."""
        return scaled(self.scale, self.out(relu(self.linear(self.norm(x)))))
