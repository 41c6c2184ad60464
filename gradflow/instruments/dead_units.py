"""Share of a block's units whose ReLU passes nothing, on any sample: unit i is dead when max_b z_l,i(b) <= 0.

Such a unit has no gradient on these samples, so it cannot come back by itself (Lu et al. 2019, arXiv 1903.06733).
"""

import torch
from torch import Tensor

from gradflow.instruments.trace import Trace

COLUMNS = ("dead_fraction",)


def measure(trace: Trace) -> Tensor:
    """Share of the units with z_l <= 0 on the whole batch: (seeds, depth, 1)."""
    dead = [(z.amax(1) <= 0).double().mean(1) for z in trace.z]
    return torch.stack(dead, 1).unsqueeze(2)
