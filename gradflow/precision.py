"""When to sum squares in float32, which is fast: squares below 1e-45 are 0 in it, those above 3e38 inf."""

import torch
from torch import Tensor

# Between these a norm summed in float32 has lost nothing that counts.
SAFE = 1e-15, 1e15
LARGEST = torch.finfo(torch.float32).max


def float32_will_do(norms: Tensor) -> Tensor:
    """Whether all norms, summed in float32, are what a sum in float64 would give; a norm of 0 may have been small.

    Returns:
        A boolean without axes: asking for its value waits for the device.
    """
    return ((norms > SAFE[0]) & (norms < SAFE[1])).all()
