"""Mean and spread of pre-activations and stream, by layer.

Over all samples and units: mean(y) and sqrt(mean((y - mean(y))^2)), for y = z_l, the pre-activation of block l, and
y = x_l, the stream after it (the quantities of Glorot and Bengio 2010, PMLR 9:249-256, section 3).
"""

import torch
from torch import Tensor

from gradflow.trace import Trace

COLUMNS = ("z_mean", "z_std", "x_mean", "x_std")


def measure(trace: Trace) -> Tensor:
    """Mean and standard deviation, not corrected for the mean, of z_l and of x_l: (seeds, depth, 4)."""
    columns = [
        statistic.T for y in (trace.z, trace.x[1:]) for statistic in (y.mean((2, 3)), y.std((2, 3), correction=0))
    ]
    return torch.stack(columns, 2)
