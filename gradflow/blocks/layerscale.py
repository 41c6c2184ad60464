"""The residual block with a learnt factor for each unit (LayerScale: Touvron et al. 2021, arXiv 2103.17239)."""

from collections.abc import Callable

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit
from gradflow.theory import Branch


class LayerScale(Block):
    """``x -> x + s * relu(W x + b)`` with a small factor s that is learnt for each unit.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        start: All of s before training; None: by depth as in section 2 of the paper, 0.1 up to 18 blocks, 1e-5 up to
            24, 1e-6 beyond.
    """

    writes = ("linear",)

    def __init__(self, kit: Kit, place: Place, *, start: float | None = None) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        if start is None:
            start = 0.1 if place.depth <= 18 else 1e-5 if place.depth <= 24 else 1e-6
        self.s = kit.parameter(place.width, start=start)
        self.scale = start

    def branch(self, x: Tensor) -> Tensor:
        """``s * relu(W x + b)``."""
        return self.s * relu(self.linear(x))

    def theory(self, drawn: Callable[..., Branch]) -> Branch:
        """A ReLU branch whose scale is s before training."""
        return drawn(scale=self.scale)
