"""A pass forward and back in which each block adds a share of what it would add, row by row."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm


def passed(
    branches: Sequence[Sequence[nn.Module]], first: Tensor, weights: Sequence[Tensor], last: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Take a stream through blocks, and a gradient back.

    Args:
        branches: For each of the branches that stand side by side, its blocks, stacked ones.
        first: x_0, (seeds, rows, width).
        weights: For each of them (depth, seeds, rows), factors on what a block adds to a row.
        last: dx_L, like the stream.

    Returns:
        x_L; and growth of the stream, ||x_L|| / ||x_0||, and of the gradient, ||dx_0|| / ||dx_L||, root mean squares
        over rows, (seeds,) each, in float64.
    """
    first = first.detach().requires_grad_()
    x = first
    for number, blocks in enumerate(zip(*branches, strict=True)):
        added = [
            own[number].unsqueeze(2).to(x.dtype) * (block(x) - x) for block, own in zip(blocks, weights, strict=True)
        ]
        x = x + torch.stack(added).sum(0)
    (back,) = torch.autograd.grad((x * last).sum(), first)
    return x.detach(), _size(x.detach()) / _size(first.detach()), _size(back) / _size(last)


def _size(x: Tensor) -> Tensor:
    """Root mean square over rows of the norms, but for a factor: (seeds, rows, width) -> (seeds,)."""
    norms: Tensor = vector_norm(x, dim=(1, 2), dtype=torch.float64)
    return norms
