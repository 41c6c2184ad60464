"""The block without a skip: each layer replaces the stream."""

from collections.abc import Callable

from torch import Tensor, relu

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit
from gradflow.theory import Branch


class Plain(Block):
    """``x -> relu(W x + b)``, a layer of a plain multilayer perceptron."""

    relu_scale = 1.0  # forward is this times relu(linear(x)), plus what is carried: C can train it
    changes_width = True

    def __init__(self, kit: Kit, place: Place) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.out)

    def carry(self, x: Tensor) -> None:
        """Nothing goes past the branch."""

    def branch(self, x: Tensor) -> Tensor:
        """``relu(W x + b)``."""
        return relu(self.linear(x))

    def theory(self, drawn: Callable[..., Branch]) -> Branch:
        """A ReLU layer without a skip."""
        return drawn(skip=False)
