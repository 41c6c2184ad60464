"""What networks do to signals before any training: measured over many seeds, beside what theory predicts.

Inputs are rows that are orthogonal to each other, each with the power of a uniform input on (-1, 1), 1/3. The
gradient that is sent back is random and knows nothing of the weights: g_L = v, standard normal.
"""

import math
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradflow import theory
from gradflow.instruments import gradient_norms, gradient_split, shattering, trace
from gradflow.kit.block import Block
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.network import Network
from gradflow.params.starts import Start
from studies.initialisation.params import Params

POWER = 1 / 3


def network(config: Params, start: Start) -> Network:
    """All seeds of a network at its start."""
    described = {"network": "trunk", "block": start.block, "settings": start.settings(), "widths": None}
    make = partial(build, described | {"depth": config.depth, "width": config.width})
    return stack(make, seeds=config.seeds, init=start.init, seed=config.seed)


def inputs(config: Params) -> tuple[Tensor, Tensor]:
    """Orthogonal rows of power 1/3, and the gradients v to send back: each (rows, width), the same for all seeds."""
    random = np.random.default_rng(config.inputs.seed)
    orthogonal, _ = np.linalg.qr(random.standard_normal((config.width, config.inputs.rows)))
    rows = orthogonal.T * math.sqrt(config.width * POWER)
    back = random.standard_normal(rows.shape)
    return torch.from_numpy(rows).float(), torch.from_numpy(back).float()


def layers(config: Params, start: Start, trunk: Network) -> pd.DataFrame:
    """Measure every layer of every seed, and predict it.

    Returns:
        Columns seed, layer (0 = x_0 .. depth), first_row_power (E[x_l^2] of the first input alone), power (E[x_l^2]),
        mean (E[x_l]), cosine (mean over all pairs of rows), stream_grad_norm (||dLoss/dx_l||), and from layer 1 on
        delta_norm, weight_grad_norm (||dLoss/dW_l||) and gradient_gain (||g_{l-1}|| / ||g_l||); then those from power
        to weight_grad_norm with _theory at the end of the name, nan where there is no theory of the block.
    """
    x, v = inputs(config)
    traced = trace.record(trunk.blocks, x.expand(config.seeds, -1, -1), lambda last: (last * v).sum((1, 2)))
    directions = traced.x / torch.linalg.vector_norm(traced.x, dim=3, keepdim=True)
    pairs = x.shape[0] * (x.shape[0] - 1)
    cosine = (directions.sum(2).square().sum(2) - directions.square().sum((2, 3))) / pairs
    norms, split = gradient_norms.measure(traced).unbind(2), gradient_split.measure(traced).unbind(2)
    measured = {
        "first_row_power": traced.x[:, :, 0].square().mean(2).T,
        "power": traced.x.square().mean((2, 3)).T,
        "mean": traced.x.mean((2, 3)).T,
        "cosine": cosine.T,
        "stream_grad_norm": torch.linalg.vector_norm(traced.g, dim=(2, 3)).T,
        "delta_norm": _from_layer_1(norms[gradient_norms.COLUMNS.index("delta_norm")]),
        "weight_grad_norm": _from_layer_1(norms[gradient_norms.COLUMNS.index("weight_grad_norm")]),
        "gradient_gain": _from_layer_1(split[gradient_split.COLUMNS.index("gradient_gain")]),
    }
    predicted = predict(config, branch_of(config, start, trunk), float(x.mean()), float(torch.linalg.vector_norm(v)))
    columns = {
        "seed": np.repeat(np.arange(config.seeds), config.depth + 1),
        "layer": np.tile(np.arange(config.depth + 1), config.seeds),
        **{name: value.numpy().ravel() for name, value in measured.items()},
        **{f"{name}_theory": np.tile(line, config.seeds) for name, line in predicted.items()},
    }
    return pd.DataFrame(columns).replace([np.inf, -np.inf], np.nan)


def branch_of(config: Params, start: Start, trunk: Network) -> theory.Branch | None:
    """The blocks of a network at their start as theory sees them; None: it has no line for them."""
    block = trunk.blocks[0]
    assert isinstance(block, Block)
    return block.theory(partial(theory.Branch.drawn, start.init, config.depth, config.width))


def predict(config: Params, branch: theory.Branch | None, mean: float, back: float) -> dict[str, NDArray[np.float64]]:
    """Theory lines by layer, each (depth + 1,), for inputs with that mean and a gradient v with that norm."""
    depth, width = config.depth, config.width
    names = ("power", "mean", "cosine", "stream_grad_norm", "delta_norm", "weight_grad_norm")
    if branch is None:
        return {name: np.full(depth + 1, np.nan) for name in names}
    power, means, cosines = theory.stream(branch, depth, power=POWER, mean=mean).T
    g = back * branch.factor ** np.arange(depth, -1, -1)
    delta = np.append(np.nan, g[1:] * branch.delta_factor)
    weight = np.append(np.nan, delta[1:] * np.sqrt(width * power[:-1]))  # rows' shares are unrelated, as v is random
    if branch.second:  # whose gradient has the same norm: E[relu(z)^2] makes up for what delta lacks
        weight *= math.sqrt(2)
    if branch.skip and not branch.second:  # but here they become alike, see theory.Branch.factor
        weight[:] = np.nan
    return dict(zip(names, (power, means, cosines, g, delta, weight), strict=True))


def log_variance(config: Params, start: Start, trunk: Network) -> float | None:
    """Variance over seeds of log(q_L / q_0) of one input, known for plain blocks with Gaussian weights."""
    branch = branch_of(config, start, trunk)
    gaussian = branch and branch.plain and not branch.biases
    return theory.log_variance(config.depth, config.width) if gaussian else None


def along_a_line(config: Params, trunk: Network) -> pd.DataFrame:
    """Shattering on the line from the first input to the second: columns seed, lag, distance, correlation.

    The distance is the lag as a share of the whole line.
    """
    x, v = inputs(config)
    points = config.line.points
    t = torch.linspace(0, 1, points)[:, None]
    found = shattering.correlation(trunk, ((1 - t) * x[0] + t * x[1]).expand(config.seeds, -1, -1), v[0]).numpy()
    return pd.DataFrame(
        {
            "seed": np.repeat(np.arange(config.seeds), points),
            "lag": np.tile(np.arange(points), config.seeds),
            "distance": np.tile(np.arange(points) / (points - 1), config.seeds),
            "correlation": found.ravel(),
        }
    )


def _from_layer_1(values: Tensor) -> Tensor:
    """(seeds, depth) -> (seeds, depth + 1) with nan for x_0, which no block precedes."""
    return torch.nn.functional.pad(values, (1, 0), value=torch.nan)
