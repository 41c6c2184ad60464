"""The residual block that needs no norm, for its start is scaled down (Fixup: Zhang et al. 2019, arXiv 1901.09321)."""

from torch import Tensor, nn, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Fixup(Block):
    """``x -> x + a * (W2 relu(W1 x + b1) + b2)`` with a number a that is learnt.

    At the start W2, b1 and b2 are 0 and a is 1, so the block is the identity, and what was drawn for W1 is multiplied
    by depth^(-1/(2m - 2)) with m = 2 maps in the branch. The paper has one number for each bias and starts the head at
    0 too; here biases are those of any linear map, and the head is drawn, so that gradients reach the blocks at once.

    Args:
        kit: Makes its layers.
        place: Where it stands.
    """

    def __init__(self, kit: Kit, place: Place) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.out = kit.linear(place.width, place.width)
        self.a = kit.parameter(start=1.0)
        self.shrink = place.multiplier(1.0, 0.5)

    def branch(self, x: Tensor) -> Tensor:
        """``a * (W2 relu(W1 x + b1) + b2)``."""
        added: Tensor = self.a * self.out(relu(self.linear(x)))
        return added

    def start(self) -> None:
        """Shrink W1, set all else to 0."""
        self.linear.get_parameter("weight").mul_(self.shrink)
        for zero in (self.linear.get_parameter("bias"), *self.out.parameters()):
            nn.init.zeros_(zero)
