"""The size of a block's branch relative to the stream that it reads: ||f_l|| / ||x_{l-1}||.

Trained residual networks have small ones: each block refines its stream (Greff et al. 2017, arXiv 1612.07771;
Jastrzebski et al. 2018, arXiv 1710.04773).
"""

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow.instruments.trace import Trace

COLUMNS = ("branch_ratio",)


def measure(trace: Trace) -> Tensor:
    """||f_l||_F / ||x_{l-1}||_F over batch and units: (seeds, depth, 1); nan for a stream of 0, or without a skip."""
    ratio = vector_norm(trace.f, dim=(2, 3)) / vector_norm(trace.x[:-1], dim=(2, 3))
    ratio[~trace.carries] = torch.nan
    return torch.where(ratio.isfinite(), ratio, torch.nan).T.unsqueeze(2)
