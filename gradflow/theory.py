"""What ReLU networks do to signals at initialisation, from the variances of their parameters alone.

In the limit of infinite width the power of the gradients with respect to pre-activations changes by
chi = width * Var(W) / 2 with each plain layer towards the input, and that of the activations by the same factor
towards the output, plus what the biases add (He et al. 2015, arXiv 1502.01852, section 2.2; Schoenholz
et al. 2017, arXiv 1611.01232, section 3).

At finite width all of this holds for means over networks; the logarithm of a squared norm of one network
has a variance of :func:`log_variance` about it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def variances(init: str, depth: int, inputs: int, outputs: int, *, writes: bool = False) -> tuple[float, float]:
    """The numbers inputs * Var(W) and inputs * Var(b) that an initialisation draws for a linear map.

    nn.Linear draws both from U(-1/sqrt(inputs), 1/sqrt(inputs)); for the others see :mod:`gradflow.kit.inits`.

    Args:
        init: Its name.
        depth: Blocks of the network.
        inputs: Of the map.
        outputs: Of the map.
        writes: Whether its output is added to the stream.
    """
    return {
        "default": (1 / 3, 1 / 3),
        "he": (2.0, 0.0),
        "he_over_sqrt_depth": (2 / depth, 0.0),
        "xavier": (2 * inputs / (inputs + outputs), 0.0),
        "orthogonal": (inputs / max(inputs, outputs), 0.0),
        "lecun": (1.0, 0.0),
        "gpt2": (1 / depth if writes else 1.0, 0.0),
    }[init]


@dataclass(frozen=True)
class Branch:
    """``scale * relu(W x + b)``, or behind that ReLU a second linear map, at initialisation.

    Attributes:
        weights: width * Var(W).
        biases: Var(b).
        scale: Factor on the branch.
        skip: Whether the block adds it to the stream.
        out: width * Var(W) of the second linear map, whose biases are drawn like those of the first; None: there is
            none.
    """

    weights: float
    biases: float
    scale: float = 1.0
    skip: bool = True
    out: float | None = None

    @classmethod
    def drawn(
        cls, init: str, depth: int, width: int, *, scale: float = 1.0, skip: bool = True, second: bool = False
    ) -> "Branch":
        """One as an initialisation draws it, see :func:`variances`."""
        weights, biases = variances(init, depth, width, width, writes=skip and not second)
        out = variances(init, depth, width, width, writes=skip)[0] if second else None
        return cls(weights, biases / width, scale, skip, out)

    @property
    def second(self) -> bool:
        """Whether there is a second linear map."""
        return self.out is not None

    @property
    def chi(self) -> float:
        """Power of the branch over that of its stream, but for biases and scale: width * Var(W) / 2, if not second."""
        return self.weights / 2 * (1.0 if self.out is None else self.out)

    @property
    def factor(self) -> float:
        """Factor on the norm of dLoss/dx with each block, towards the input: sqrt(scale^2 chi), sqrt(1 + scale^2 chi).

        The skip connection passes the gradient g on; where J^T g of the branch is on average orthogonal to it, the
        squares of the norms add up (Hayou et al. 2021, arXiv 2010.12859). A linear map at the end of the branch makes
        it so. With a ReLU there this holds at the last blocks alone: relu(W x) has its largest slope along x itself,
        E[J] = scale sqrt(chi / pi) u x^T / ||x|| with u = (1, ..., 1) / sqrt(width), so gradients turn towards the
        mean of the stream and then grow faster.
        """
        return math.hypot(self.skip, self.scale * math.sqrt(self.chi))

    @property
    def plain(self) -> bool:
        """Whether the block is a ReLU layer and no more."""
        return not self.skip and not self.second and self.scale == 1

    @property
    def delta_factor(self) -> float:
        """||dLoss/dz|| of a block over ||dLoss/dx|| behind it: half of the units pass their gradient."""
        return abs(self.scale) * math.sqrt((1.0 if self.out is None else self.out) / 2)


def weight_gradients(
    branch: Branch, depth: int, width: int, stem: tuple[float, float], features: int = 2
) -> NDArray[np.float64] | None:
    """Norm of dLoss/dW by block of a plain network, relative to the last block: (depth,). None for other blocks.

    ||dW_l|| goes with ||dLoss/dz_l|| * rms(x_{l-1}), that is with sqrt(chi^(depth - l) * q_{l-1}), where
    q_l = (width * Var(W) * q_{l-1} + Var(b)) / 2 is the mean square of the stream after block l. It starts
    at q_0, that of a linear stem on standardised features. With biases q falls to a floor, 1/(5 * width)
    for the default initialisation, so the norm is flat near the input and falls by sqrt(chi) a block elsewhere.
    The rows of a batch are taken as unrelated: where the stream still tells classes apart, their shares add up
    and the norm is several times larger.

    Args:
        branch: Of every block.
        depth: Number of blocks.
        width: Units of the stream.
        stem: :func:`variances` of the stem.
        features: Its inputs.
    """
    if not branch.plain:
        return None
    power = [stem[0] + stem[1] / features]
    for _ in range(depth - 1):
        power.append((branch.weights * power[-1] + branch.biases) / 2)
    norms = np.sqrt(np.array(power)) * branch.factor ** np.arange(depth - 1, -1, -1)
    return np.asarray(norms / norms[-1])


def stream(branch: Branch, depth: int, *, power: float, mean: float = 0.0, cosine: float = 0.0) -> NDArray[np.float64]:
    """Power q_l = E[x_l^2], mean m_l = E[x_l], and cosine c_l of two streams of equal power, by layer.

    Pre-activations have mean 0, variance s^2 = width Var(W) q + Var(b), and for two inputs a correlation r, so
    relu(z) has power s^2 / 2 (arXiv 1502.01852, section 2.2), mean s / sqrt(2 pi), and for the two inputs
    the mean product :func:`arc_cosine` (r) s^2 / 2. With a skip the means of branch and stream add up::

        q' = q + scale^2 s^2 / 2 + 2 scale m s / sqrt(2 pi)
        m' = m + scale s / sqrt(2 pi)

    which for zero biases is q' = q (1 + scale^2 chi) + 2 scale m sqrt(chi q / pi): more than the q (1 + scale^2 chi) of
    a branch without a mean (arXiv 2010.12859), as which one with a second linear map behind the ReLU counts.

    Args:
        branch: Of every block.
        depth: Number of blocks.
        power: q_0.
        mean: m_0.
        cosine: c_0.

    Returns:
        (depth + 1, 3), from x_0 on.
    """
    # A NumPy number overflows to inf, where Python's raises an error.
    scale, skip = np.float64(branch.scale), branch.skip
    lines = [(power, mean, cosine)]
    for _ in range(depth):
        q, m, c = lines[-1]
        s2 = branch.weights * q + branch.biases
        r = (branch.weights * q * c + branch.biases) / s2 if s2 else 1.0  # nothing is left that could differ
        added, alike, centre = s2 / 2, arc_cosine(r) * s2 / 2, math.sqrt(s2 / (2 * math.pi))
        if branch.out is not None:
            added, alike = (branch.out * value + branch.biases for value in (added, alike))
            centre = 0.0
        cross = 2 * scale * m * centre
        q_next = scale**2 * added + skip * (q + cross)
        both = scale**2 * alike + skip * (q * c + cross)
        lines.append((q_next, scale * centre + skip * m, both / q_next if q_next else 1.0))
    return np.array(lines)


def arc_cosine(c: float) -> float:
    """2 E[relu(u) relu(v)] of standard normal u and v with correlation c: the cosine map of a plain ReLU layer.

    (sqrt(1 - c^2) + c (pi - arccos c)) / pi, the arc-cosine kernel of degree 1 (Cho and Saul 2009, "Kernel Methods for
    Deep Learning"; Daniely et al. 2016, arXiv 1602.05897). Without biases and skips cosines go to 1.
    """
    c = max(-1.0, min(1.0, c))
    return (math.sqrt(1 - c**2) + c * (math.pi - math.acos(c))) / math.pi


def log_variance(depth: int, width: int) -> float:
    """Variance over networks of log ||x_depth||^2 of a plain ReLU network with Gaussian weights: about 5 depth / width.

    One layer multiplies the squared norm by (1/n) sum_i 2 relu(u_i)^2 with standard normal u_i, whose
    variance is (4 * 3/2 - 1) / n = 5/n (Hanin and Nica 2020, arXiv 1812.05994, theorem 1).
    """
    return 5 * depth / width
