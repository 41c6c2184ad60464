"""Shattering: how alike the gradients of near inputs are (Balduzzi et al. 2017, arXiv 1702.08591).

For points x(t_1), ..., x(t_T) in equal steps along a line, and grad(t) = d<v, y(x(t))>/dx for an output y and a
fixed v, the correlation at lag k is the mean over i of::

    cos(grad(t_i), grad(t_{i+k}))

In a deep plain network it falls so fast with the lag that gradients look like white noise; skip connections keep it.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def correlation(network: Callable[[Tensor], Tensor], points: Tensor, v: Tensor) -> Tensor:
    """Measure the correlation of input gradients along a line, at lags 0, 1, ....

    Args:
        network: Maps (seeds, points, width) to outputs of the same shape, each point on its own.
        points: (seeds, points, width), in equal steps along a line.
        v: (width,), the direction of the output that is looked at.

    Returns:
        (seeds, points) in float64; nan at lags at which all of a seed's pairs have a gradient of 0.
    """
    with torch.enable_grad():
        x = points.detach().requires_grad_()
        (gradients,) = torch.autograd.grad((network(x) @ v).sum(), x)
    gradients = gradients.double()
    directions = gradients / torch.linalg.vector_norm(gradients, dim=2, keepdim=True)
    cosines = directions @ directions.mT
    lags = [cosines.diagonal(lag, 1, 2).nanmean(1) for lag in range(points.shape[1])]
    return torch.stack(lags, 1)
