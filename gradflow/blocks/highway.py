"""The highway block: a gate made from the stream mixes branch and stream (Srivastava et al. 2015, arXiv 1505.00387)."""

from torch import Tensor, nn, relu, sigmoid

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Highway(Block):
    """``x -> T(x) * relu(W x + b) + (1 - T(x)) * x`` with the transform gate ``T(x) = sigmoid(W_T x + b_T)``.

    At the start, with a gate that is nearly closed (b_T of -2 or less), about 1 - sigmoid(b_T) of the gradient comes
    through a block, so through L blocks about its L-th power.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        bias: All of b_T before training; negative: the block starts by carrying (section 2.2 of the paper).
    """

    def __init__(self, kit: Kit, place: Place, *, bias: float = -2.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.gate = kit.linear(place.width, place.width)
        self.bias = bias

    def carry(self, x: Tensor) -> Tensor:
        """``(1 - T(x)) * x``."""
        return (1 - sigmoid(self.gate(x))) * x

    def branch(self, x: Tensor) -> Tensor:
        """``T(x) * relu(W x + b)``."""
        return sigmoid(self.gate(x)) * relu(self.linear(x))

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both, with the gate computed once: ``x + T(x) * (relu(W x + b) - x)``."""
        return x.lerp(relu(self.linear(x)), sigmoid(self.gate(x)))

    def start(self) -> None:
        """Close the gate as far as ``bias`` says."""
        nn.init.constant_(self.gate.get_parameter("bias"), self.bias)
