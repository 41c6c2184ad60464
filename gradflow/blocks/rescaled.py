"""The rescaled residual block: the sum of stream and branch is scaled, so its power does not grow without bound."""

from collections.abc import Callable

from torch import Tensor, nn, relu


class Block(nn.Module):
    """``x -> scale * (x + relu(W x + b))``.

    Args:
        width: Units of the stream.
        linear: Makes a linear map from its input and output sizes.
        scale: Factor on the sum. With 1/sqrt(2) the sum of two unrelated terms of equal power keeps that power, but
            what came in before fades by that factor with each block.
    """

    skip = False  # the stream is not passed on as it is: x_l - x_{l-1} is not what a branch adds

    def __init__(
        self, width: int, linear: Callable[[int, int], nn.Module] = nn.Linear, *, scale: float = 0.7071067811865476
    ) -> None:
        super().__init__()
        self.linear = linear(width, width)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream x ``(..., batch, width)`` to the next one, of the same shape."""
        return self.scale * (x + relu(self.linear(x)))
