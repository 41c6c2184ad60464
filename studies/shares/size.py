"""How large streams and gradients are."""

import torch
from torch import Tensor
from torch.linalg import vector_norm


def size(x: Tensor) -> Tensor:
    """Root mean square over rows of the norms, but for a factor: (seeds, rows, width) -> (seeds,)."""
    norms: Tensor = vector_norm(x, dim=(1, 2), dtype=torch.float64)
    return norms
