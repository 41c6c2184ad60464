"""The block without a skip: each layer replaces the stream."""

from collections.abc import Callable

from torch import Tensor, nn, relu


class Block(nn.Module):
    """``x -> relu(W x + b)``, a layer of a plain multilayer perceptron.

    Args:
        width: Units of the stream.
        linear: Makes a linear map from its input and output sizes.
    """

    skip = False
    relu_scale = 1.0  # forward is this times relu(linear(x)): trained by a backward pass by hand

    def __init__(self, width: int, linear: Callable[[int, int], nn.Module] = nn.Linear) -> None:
        super().__init__()
        self.linear = linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream x ``(..., batch, width)`` to the next one, of the same shape."""
        return relu(self.linear(x))
