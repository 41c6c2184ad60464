"""What a plain ReLU network does to signals at initialisation, from the variances of its parameters alone.

In the limit of infinite width the power of the gradients with respect to pre-activations changes by
chi = width * Var(W) / 2 with each layer towards the input, and that of the activations by the same factor
towards the output, plus what the biases add (He et al. 2015, arXiv 1502.01852, section 2.2; Schoenholz
et al. 2017, arXiv 1611.01232, section 3).
"""

import math

import numpy as np
from numpy.typing import NDArray

# inputs * Var(W) and inputs * Var(b): nn.Linear draws both from U(-1/sqrt(n), 1/sqrt(n)), He from N(0, 2/n) and 0.
_VARIANCES = {"default": (1 / 3, 1 / 3), "he": (2.0, 0.0)}


def factor(init: str) -> float:
    """Factor sqrt(chi) that the norm of dLoss/dz gains with each plain block, towards the input."""
    return math.sqrt(_VARIANCES[init][0] / 2)


def weight_gradients(init: str, depth: int, width: int, features: int = 2) -> NDArray[np.float64]:
    """Norm of dLoss/dW by block of a plain network, relative to the last block: (depth,).

    ||dW_l|| goes with ||dLoss/dz_l|| * rms(x_{l-1}), that is with sqrt(chi^(depth - l) * q_{l-1}), where
    q_l = (width * Var(W) * q_{l-1} + Var(b)) / 2 is the mean square of the stream after block l. It starts
    at q_0, that of a linear stem on standardised features. With biases q falls to a floor, 1/(5 * width)
    for the default initialisation, so the norm is flat near the input and falls by sqrt(chi) a block elsewhere.
    The rows of a batch are taken as unrelated: where the stream still tells classes apart, their shares add up
    and the norm is several times larger.
    """
    weights, biases = _VARIANCES[init]
    power = [weights + biases / features]
    for _ in range(depth - 1):
        power.append((weights * power[-1] + biases / width) / 2)
    norms = np.sqrt(np.array(power)) * factor(init) ** np.arange(depth - 1, -1, -1)
    return np.asarray(norms / norms[-1])
