"""Norms of the two gradients of a block. They behave differently, so it always has to be said which one is meant.

With delta_l = dLoss/dz_l, summed over the rows b of the batch::

    dLoss/dW_l = sum_b delta_l(b) x_{l-1}(b)^T

so ||dLoss/dW_l|| goes with ||delta_l|| * ||x_{l-1}||. In a plain network at its start the first factor falls
towards the input as fast as the second one rises: with zero biases the weights' gradients are equally
large in all layers, however far delta vanishes (Glorot and Bengio 2010, PMLR 9:249-256, section 4.2.1).
"""

import torch
from torch import Tensor
from torch.linalg import vector_norm

from gradflow.instruments.trace import Trace

COLUMNS = ("weight_grad_norm", "delta_norm")


def measure(trace: Trace) -> Tensor:
    """||dLoss/dW_l||_F of all linear maps of a block, and ||dLoss/dz_l||_F over batch and units: (seeds, depth, 2)."""
    of_weights = [
        vector_norm(torch.stack([vector_norm(one, dim=(1, 2)) for one in own]), dim=0) for own in trace.weight_gradients
    ]
    of_deltas = [vector_norm(delta, dim=(1, 2)) for delta in trace.delta]
    return torch.stack([torch.stack(of_weights, 1), torch.stack(of_deltas, 1)], 2)
