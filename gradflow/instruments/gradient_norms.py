"""Norms of the two gradients of a block, which behave differently: say which one is meant.

With delta_l = dLoss/dz_l, summed over the rows b of the batch::

    dLoss/dW_l = sum_b delta_l(b) x_{l-1}(b)^T

so ||dLoss/dW_l|| goes with ||delta_l|| * ||x_{l-1}||. In a plain network at its start the first factor falls
towards the input as fast as the second one rises: with zero biases the weights' gradients are equally
large in all layers, however far delta vanishes (Glorot and Bengio 2010, PMLR 9:249-256, section 4.2.1).
"""

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow.trace import Trace

COLUMNS = ("weight_grad_norm", "delta_norm")


def measure(trace: Trace) -> Tensor:
    """||dLoss/dW_l||_F, and ||dLoss/dz_l||_F over batch and units: (seeds, depth, 2)."""
    norms = [vector_norm(gradient, dim=(2, 3)).T for gradient in (trace.weight_gradient, trace.delta)]
    return torch.stack(norms, 2)
