"""What a plain ReLU network does to signals at initialisation, from the variance of its weights alone.

In the limit of infinite width with zero biases, the power of the activations and of the gradients with
respect to pre-activations changes by chi = width * Var(W) / 2 a layer, going forward and backward alike
(He et al. 2015, arXiv 1502.01852, section 2.2; Schoenholz et al. 2017, arXiv 1611.01232, section 3).
"""

import math

# width * Var(W): nn.Linear draws from U(-1/sqrt(n), 1/sqrt(n)), He from N(0, 2/n).
_WIDTH_TIMES_VARIANCE = {"default": 1 / 3, "he": 2.0}


def factor(init: str) -> float:
    """Factor sqrt(chi) that the norm of dLoss/dz gains with each plain block, towards the input."""
    return math.sqrt(_WIDTH_TIMES_VARIANCE[init] / 2)
