"""A highway that cannot collapse: however far its gates shut, a share of the stream is carried past the branch."""

from torch import Tensor, relu, sigmoid

from gradflow.kit.block import Block, Place
from gradflow.kit.layers import Kit


class Floored(Block):
    """``x -> (rho + (1 - rho) sigmoid(a)) * x + sigmoid(b) * relu(W x + c)`` with a, b learnt, ``rho = 1 - 1/depth``.

    With all gates shut, a and b far below 0, rho^depth of the stream, and of its gradient, comes through the network:
    about 1/e, however deep it is. Without the floor nothing does. This is one reading of a
    "stability term" that keeps the highway open, in a network of its own.

    Args:
        kit: Makes its layers.
        place: Where it stands.
        floor: Whether there is one; without it rho is 0.
        bias: a and b before training.
    """

    def __init__(self, kit: Kit, place: Place, *, floor: bool = True, bias: float = -2.0) -> None:
        super().__init__()
        self.linear = kit.linear(place.width, place.width)
        self.a = kit.parameter(start=bias)
        self.b = kit.parameter(start=bias)
        self.rho = 1 - 1 / place.depth if floor else 0.0

    def carry(self, x: Tensor) -> Tensor:
        """``(rho + (1 - rho) sigmoid(a)) * x``."""
        return (self.rho + (1 - self.rho) * sigmoid(self.a)) * x

    def branch(self, x: Tensor) -> Tensor:
        """``sigmoid(b) * relu(W x + c)``."""
        return sigmoid(self.b) * relu(self.linear(x))
