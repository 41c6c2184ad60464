"""The stream as a sum: what the blocks add telescopes, x_l - x_0 = f_1 + ... + f_l.

The view is that of Veit et al. 2016 (arXiv 1605.06431): a residual network is a sum over paths.
Block l's share of the whole way is its part along it::

    share_l = <f_l, x_L - x_0> / ||x_L - x_0||^2,    share_1 + ... + share_L = 1

A block that works against the others has a negative one.
"""

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow.instruments.trace import Trace

COLUMNS = ("contribution_share", "telescoping_error")


def measure(trace: Trace) -> Tensor:
    """Measure shares, and how far the sum is from the stream.

    Returns:
        (seeds, depth, 2), over batch and units: share_l, and ||x_l - x_0 - (f_1 + ... + f_l)|| / ||x_l - x_0||,
        which is rounding; nan where a block does not just add to its stream, or the stream has not moved.
    """
    moved = trace.x[1:] - trace.x[0]
    distance = vector_norm(moved, dim=(2, 3))
    direction = moved[-1] / distance[-1, :, None, None]
    share = (trace.f * direction).sum((2, 3)) / distance[-1]
    error = vector_norm(moved - trace.f.cumsum(0), dim=(2, 3)) / distance
    measured = torch.stack([share.T, error.T], 2)
    return measured.where(measured.isfinite() & trace.adds.all(), torch.nan)
