"""The residual block: each layer adds to the stream (He et al. 2015, arXiv 1512.03385)."""

from collections.abc import Callable

from torch import Tensor, nn, relu


class Block(nn.Module):
    """``x -> x + scale * relu(W x + b)``.

    Args:
        width: Units of the stream.
        linear: Makes a linear map from its input and output sizes.
        scale: Factor on the branch. With a constant one the power of the stream grows exponentially with
            depth, also with 1/sqrt(2); with 1/sqrt(depth) it still grows, since a ReLU's branch has a positive
            mean, but at 20 blocks by no more than a small factor.
    """

    skip = True

    def __init__(self, width: int, linear: Callable[[int, int], nn.Module] = nn.Linear, *, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = linear(width, width)
        self.scale = self.relu_scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream x ``(..., batch, width)`` to the next one, of the same shape."""
        return x + self.branch(x)

    def branch(self, x: Tensor) -> Tensor:
        """What the block adds to the stream x."""
        return self.scale * relu(self.linear(x))
