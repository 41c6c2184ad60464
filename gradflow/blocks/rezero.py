"""The residual block whose branch starts at nothing (ReZero: Bachlechner et al. 2020, arXiv 2003.04887)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn, relu


class Block(nn.Module):
    """``x -> x + a * relu(W x + b)`` with a number a that is learnt.

    With a = 0 the block is the identity, and its gradient with respect to the stream too, whatever W. The
    number stands after the ReLU: a W of 0 before it would stay 0, since PyTorch takes relu'(0) = 0.

    Args:
        width: Units of the stream.
        linear: Makes a linear map from its input and output sizes.
        start: The number a before training.
    """

    skip = True

    def __init__(self, width: int, linear: Callable[[int, int], nn.Module] = nn.Linear, *, start: float = 0.0) -> None:
        super().__init__()
        self.linear = linear(width, width)
        seeds = self.linear.get_parameter("weight").shape[:-2]
        self.a = nn.Parameter(torch.full((*seeds, 1, 1), start))

    def forward(self, x: Tensor) -> Tensor:
        """Map the stream x ``(..., batch, width)`` to the next one, of the same shape."""
        return x + self.branch(x)

    def branch(self, x: Tensor) -> Tensor:
        """What the block adds to the stream x."""
        return self.a * relu(self.linear(x))
