"""Two experts, of which each row of the stream goes through one (arXiv 1701.06538, and 2101.03961 for one alone)."""

import torch
from torch import Tensor, relu

from gradflow.kit.block import Block, Place, scaled
from gradflow.kit.layers import Kit


class Experts(Block):
    """``x -> x + c * p_e f_e(x)``, ``f_k(x) = W2_k relu(W1_k x + b1_k) + b2_k``, ``p = softmax(R x)``, e the likelier.

    As p_e is learnt through the expert that was chosen, so is the choice. All rows are run through both experts: this
    shows what such a branch does, and saves no time.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        scale: Factor on the branch.
        exponent: Of the depth, by whose power the scale is divided: ``c = scale / depth^exponent``.
    """

    writes = ("out", "second_out")

    def __init__(self, kit: Kit, place: Place, *, scale: float = 1.0, exponent: float = 0.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.out = kit.linear(place.width, place.width)
        self.second_linear = kit.linear(place.width, place.width)
        self.second_out = kit.linear(place.width, place.width)
        self.router = kit.linear(place.width, 2, bias=False)
        self.scale = place.multiplier(scale, exponent)

    def branch(self, x: Tensor) -> Tensor:
        """``c * p_e f_e(x)``."""
        first, second = self.out(relu(self.linear(x))), self.second_out(relu(self.second_linear(x)))
        shares = torch.softmax(self.router(x), -1)
        of_first, of_second = shares[..., :1], shares[..., 1:]
        return scaled(self.scale, torch.where(of_first >= of_second, of_first * first, of_second * second))
