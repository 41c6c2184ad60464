"""A branch that opens as far as the nearest of some learnt prototypes says.

Inspired by the prototypes of DDCL-INCRT (arXiv 2604.01880), of which this is no reproduction: there are no hierarchy,
no growth and no loss of their own here.
"""

import math

import torch
from torch import Tensor, relu, sigmoid

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Prototypes(Block):
    """``x -> x + g(x) relu(W x + b)``, ``g = sum_k s_k sigmoid(a_k)``, ``s = softmax_k(-|x - p_k|^2 / sqrt(n))``.

    Each prototype p_k has a gate a_k of its own, and a row of the stream takes those of the prototypes near it. |x|^2
    is the same for all of them, so it is left out of the softmax.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        prototypes: How many.
        bias: a before training.
    """

    writes = ("linear",)

    def __init__(self, kit: Kit, place: Place, *, prototypes: int = 4, bias: float = 0.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.prototypes = kit.linear(place.width, prototypes, bias=False)
        self.a = kit.parameter(prototypes, start=bias)
        self.temperature = math.sqrt(place.width)

    def _opening(self, x: Tensor) -> Tensor:
        p = self.prototypes.get_parameter("weight")
        nearness = 2 * self.prototypes(x) - p.square().sum(-1).unsqueeze(-2)
        shares = torch.softmax(nearness / self.temperature, -1)
        return (shares * sigmoid(self.a)).sum(-1, keepdim=True)

    def branch(self, x: Tensor) -> Tensor:
        """``g(x) relu(W x + b)``."""
        return self._opening(x) * relu(self.linear(x))
