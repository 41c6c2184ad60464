"""The residual block whose branch ends in a linear map: what it adds has no mean (arXiv 1603.05027, 4.1)."""

from collections.abc import Callable

from torch import Tensor, nn, relu


class Block(nn.Module):
    """``x -> x + scale * (W2 relu(W1 x + b1) + b2)``, W1 and b1 being those of ``linear``.

    Logs have the gradient of W1 alone.

    Args:
        width: Units of the stream, and of the branch.
        linear: Makes a linear map from its input and output sizes.
        scale: Factor on the branch.
    """

    skip = True

    def __init__(self, width: int, linear: Callable[[int, int], nn.Module] = nn.Linear, *, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = linear(width, width)
        self.out = linear(width, width)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream x ``(..., batch, width)`` to the next one, of the same shape."""
        return x + self.branch(x)

    def branch(self, x: Tensor) -> Tensor:
        """What the block adds to the stream x."""
        added: Tensor = self.scale * self.out(relu(self.linear(x)))
        return added
