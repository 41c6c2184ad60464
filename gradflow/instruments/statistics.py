"""Mean and spread of pre-activations and stream, by layer.

Over all samples and units: mean(y) and sqrt(mean((y - mean(y))^2)), for y = z_l, the pre-activation of block l, and
y = x_l, the stream after it (the quantities of Glorot and Bengio 2010, PMLR 9:249-256, section 3).
"""

import torch
from torch import Tensor

from gradflow.instruments.trace import Trace

COLUMNS = ("z_mean", "z_std", "x_mean", "x_std")


def measure(trace: Trace) -> Tensor:
    """Mean and standard deviation, not corrected for the mean, of z_l and of x_l: (seeds, depth, 4)."""
    columns = [
        torch.stack([statistic(one.flatten(1)) for one in y], 1)
        for y in (trace.z, trace.x[1:])
        for statistic in (_mean, _std)
    ]
    return torch.stack(columns, 2)


def _mean(y: Tensor) -> Tensor:
    return y.mean(1)


def _std(y: Tensor) -> Tensor:
    return y.std(1, correction=0)
