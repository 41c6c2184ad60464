"""What the norms do to the stream and its gradient before any training: measured over many seeds, beside theory.

The blocks alone are given standard normal rows. The gradient that is sent back is random and knows nothing of the
weights: dLoss/dx_L = v, standard normal.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch

from gradflow import theory
from gradflow.instruments import gradient_norms, trace
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.starts import Start
from studies.overflow.params import Params

# For inputs of power 1 and branches that add a power a to a stream of power 1 (perinorm: scale^2): the power of the
# last stream, which is the square of ||dLoss/dx_0|| / ||dLoss/dx_L|| as well. Behind a norm a branch returns the
# gradient by a / q, q the power of what the norm reads: block l of prenorm multiplies its square by
# 1 + a / (1 + a (l - 1)), and the product of these over the blocks is 1 + a L (compare arXiv 2002.04745, 2502.02732).
# In a block of postnorm the sum has the power 1 + a, and so has the gradient that the norm divides by it.
_LAWS: dict[str, Callable[[float, int], float]] = {
    "linear_terminated": lambda a, depth: float(np.float64(1 + a) ** depth),
    "postnorm": lambda a, depth: 1.0,
    "prenorm": lambda a, depth: 1 + a * depth,
    "perinorm": lambda a, depth: 1 + a * depth,
}


def by_depth(config: Params, start: Start) -> pd.DataFrame:
    """Measure networks of every depth in float32, and predict them.

    Returns:
        Columns seed, depth, variance (of x_L over rows and units), gradient_ratio (||dLoss/dx_0|| / ||dLoss/dx_L||),
        gradient_span (largest over smallest ||dLoss/dW_l|| of the blocks, the two maps of each taken together), and
        variance_theory and gradient_ratio_theory, nan where there is no theory of the block.
    """
    random = np.random.default_rng(config.inputs.seed)
    x, v = torch.from_numpy(random.standard_normal((2, config.inputs.rows, config.width))).float()
    described = {"network": "trunk", "block": start.block, "settings": start.settings(), "widths": None}
    tables = []
    for depth in config.depths:
        make = partial(build, described | {"depth": depth, "width": config.width})
        trunk = stack(make, seeds=config.seeds, init=start.init, seed=config.seed)
        traced = trace.record(trunk.blocks, x.expand(config.seeds, -1, -1), lambda last: (last * v).sum((1, 2)))
        back = torch.linalg.vector_norm(traced.g[[0, -1]], dim=(2, 3))
        of_weights = gradient_norms.measure(traced)[..., gradient_norms.COLUMNS.index("weight_grad_norm")]
        power = _predicted(config, start, depth)
        table = {
            "seed": range(config.seeds),
            "depth": depth,
            "variance": traced.x[-1].var((1, 2), correction=0),
            "gradient_ratio": back[0] / back[1],
            "gradient_span": of_weights.amax(1) / of_weights.amin(1),
            "variance_theory": power,
            "gradient_ratio_theory": math.sqrt(power),
        }
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True).replace([np.inf, -np.inf], np.nan)


def _predicted(config: Params, start: Start, depth: int) -> float:
    """The power of the last stream, which is also the square of the gradient's ratio; nan: no theory."""
    if start.block not in _LAWS:
        return math.nan
    settings = start.settings()
    scale = settings["scale"] / depth ** settings.get("exponent", 0.0)
    branch = theory.Branch.drawn(start.init, depth, config.width, scale=scale, second=True)
    if branch.biases:  # they add a power that does not depend on the stream
        return math.nan
    return _LAWS[start.block](scale**2 * (1.0 if start.block == "perinorm" else branch.chi), depth)
