"""What ReLU networks do to signals at initialisation, from the variances of their parameters alone.

In the limit of infinite width the power of the gradients with respect to pre-activations changes by
chi = width * Var(W) / 2 with each plain layer towards the input, and that of the activations by the same factor
towards the output, plus what the biases add (He et al. 2015, arXiv 1502.01852, section 2.2; Schoenholz
et al. 2017, arXiv 1611.01232, section 3).

At finite width all of this holds for means over networks; the logarithm of a squared norm of one network
has a variance of :func:`log_variance` about it.
"""

import math

import numpy as np
from numpy.typing import NDArray

# inputs * Var(W) and inputs * Var(b): nn.Linear draws both from U(-1/sqrt(n), 1/sqrt(n)), He from N(0, 2/n) and 0.
_VARIANCES = {"default": (1 / 3, 1 / 3), "he": (2.0, 0.0)}


def chi(init: str, depth: int) -> float:
    """The factor on powers of one plain layer, width * Var(W) / 2.

    Args:
        init: ``default``, ``he``, or ``he_over_sqrt_depth``, whose weights are He's over sqrt(depth).
        depth: Number of blocks.
    """
    return 1 / depth if init == "he_over_sqrt_depth" else _VARIANCES[init][0] / 2


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


def stream(
    chi: float, depth: int, *, scale: float = 1.0, skip: bool, bias: float = 0.0, power: float = 1.0, mean: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Power q_l = E[x_l^2] and mean m_l = E[x_l] of the stream of blocks ``scale * relu(W x + b)``, plus x with a skip.

    Pre-activations have mean 0 and variance s^2 = 2 chi q + Var(b), so relu(z) has power s^2 / 2 and mean
    s / sqrt(2 pi) (arXiv 1502.01852, section 2.2). With a skip the branch's mean and that of the stream add up::

        q' = q + scale^2 s^2 / 2 + 2 scale m s / sqrt(2 pi)
        m' = m + scale s / sqrt(2 pi)

    which for zero biases is q' = q (1 + scale^2 chi) + 2 scale m sqrt(chi q / pi). Without the last term it is the
    law of a branch without a mean (Hayou et al. 2021, arXiv 2010.12859), which a ReLU at its end does not obey.

    Args:
        chi: width * Var(W) / 2.
        depth: Number of blocks.
        scale: Factor on the branch.
        skip: Whether the block adds to the stream.
        bias: Var(b).
        power: q_0.
        mean: m_0.

    Returns:
        q_0 to q_depth and m_0 to m_depth, each (depth + 1,).
    """
    q, m = [power], [mean]
    for _ in range(depth):
        s = math.sqrt(2 * chi * q[-1] + bias)
        added_power, added_mean = scale**2 * s**2 / 2, scale * s / math.sqrt(2 * math.pi)
        q.append(added_power + skip * (q[-1] + 2 * m[-1] * added_mean))
        m.append(added_mean + skip * m[-1])
    return np.array(q), np.array(m)


def residual_factor(chi: float, scale: float) -> float:
    """Factor sqrt(1 + scale^2 chi) by which the norm of dLoss/dx grows with each residual block, towards the input.

    The skip connection passes the gradient g on, and J^T g of the branch, whose weights have mean 0, is on average
    orthogonal to it (Hayou et al. 2021, arXiv 2010.12859). It holds for a ReLU at the end of the branch
    too, and where there is none also for the norm of the stream, in the other direction.

    Args:
        chi: width * Var(W) / 2; with a second linear map behind the ReLU, times its width * Var(W).
        scale: Factor on the branch.
    """
    return math.sqrt(1 + scale**2 * chi)


def cosines(depth: int, cosine: float = 0.0) -> NDArray[np.float64]:
    """Cosine of two streams of a plain ReLU network with zero biases: it goes to 1, whatever the inputs.

    c' = (sqrt(1 - c^2) + c (pi - arccos c)) / pi (Cho and Saul 2009, "Kernel Methods for Deep Learning", the
    arc-cosine kernel of degree 1; Daniely et al. 2016, arXiv 1602.05897), for any variance of the weights.

    Args:
        depth: Number of blocks.
        cosine: That of the inputs.

    Returns:
        (depth + 1,), from the inputs on.
    """
    found = [cosine]
    for _ in range(depth):
        c = min(1.0, found[-1])
        found.append((math.sqrt(1 - c**2) + c * (math.pi - math.acos(c))) / math.pi)
    return np.array(found)


def log_variance(depth: int, width: int) -> float:
    """Variance over networks of log ||x_depth||^2 of a plain ReLU network with Gaussian weights: about 5 depth / width.

    One layer multiplies the squared norm by (1/n) sum_i 2 relu(u_i)^2 with standard normal u_i, whose
    variance is (4 * 3/2 - 1) / n = 5/n (Hanin and Nica 2020, arXiv 1812.05994, theorem 1).
    """
    return 5 * depth / width
