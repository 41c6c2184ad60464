"""Gradients of the blocks' weights on one batch, exact and from sketches."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, sigmoid
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy

from gradflow.instruments import branch_ratio, trace
from gradflow.memory import sketched
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.training.rows import Labelled


@dataclass(frozen=True)
class Batch:
    """What the blocks of a network read, and what comes back, on a batch: z = x W^T + b is the first map of each.

    Attributes:
        x: (depth, seeds, batch, inputs).
        delta: dLoss/dz of the mean loss, (depth, seeds, batch, outputs).
        exact: dLoss/dW, (depth, seeds, outputs, inputs).
        ratio: Of each block's branch to its stream, (depth, seeds), see :mod:`gradflow.instruments.branch_ratio`.
        spread: E of each block, (depth, seeds), see :func:`gradflow.memory.sketched.spread`.
    """

    x: Tensor
    delta: Tensor
    exact: Tensor
    ratio: Tensor
    spread: Tensor


def on(network: Network, rows: Labelled) -> Batch:
    """Pass a batch through a network and back, in float64."""
    points, labels = rows

    def losses(last: Tensor) -> Tensor:
        return torch.stack([cross_entropy(own, labels) for own in network.head(last)])

    traced = trace.record(network.blocks, network.stem(training.stacked(points, network)), losses)
    x, delta = traced.x[:-1], torch.stack(traced.delta)
    ratio = branch_ratio.measure(traced)[..., 0].T
    return Batch(x, delta, delta.mT @ x, ratio, sketched.spread(x, delta))


def opening(network: Network) -> Tensor | None:
    """How far the one learnt gate of each block is open, (depth, seeds); None: the blocks have none."""
    gates = [dict(block.named_parameters()).get("a") for block in network.blocks]
    if not all(isinstance(gate, Tensor) and gate[0].numel() == 1 for gate in gates):
        return None
    return torch.stack([sigmoid(gate.detach()).flatten() for gate in gates if gate is not None])


@torch.no_grad()
def shut(network: Network, kept: int, gate: float) -> None:
    """Shut all but the ``kept`` gates of each seed that are open furthest, as far as ``gate`` says."""
    found = opening(network)
    assert found is not None
    others = (-found).argsort(dim=0, stable=True).argsort(0) >= kept
    for block, closed in zip(network.blocks, others, strict=True):
        block.get_parameter("a")[closed] = torch.logit(torch.tensor(gate))


def by_sketches(batch: Batch, buckets: int, draws: int, seed: int, *, scalars: bool) -> pd.DataFrame:
    """Estimate the gradients from balanced sketches, drawn anew for each block and seed, with scalars or without.

    Returns:
        Columns seed, block; squared, the mean squared distance of the estimate from the exact gradient; size, the
        squared norm of that; expected, the mean squared distance by theory, without scalars; cosine, the mean of that
        between both; and of_mean, the squared distance of the mean estimate, times draws, over ``squared``: about 1
        where estimates are right in the mean.
    """
    x, delta, exact = (tensor.float() for tensor in (batch.x, batch.delta, batch.exact))
    shape, rows = x.shape[:2], x.shape[2]
    random = np.random.default_rng((seed, buckets))
    total, squared, cosine = torch.zeros_like(exact), exact.new_zeros(shape), exact.new_zeros(shape)
    size = vector_norm(exact, dim=(2, 3))
    for _ in range(draws):
        sketch = sketched.drawn(random, rows, np.full(shape, buckets), scalars=scalars)
        found = sketch.product(sketch.of(x), delta)
        cosine += (found * exact).sum((2, 3)) / (vector_norm(found, dim=(2, 3)) * size)
        found -= exact
        total += found
        squared += found.square().sum((2, 3))
    numbers = {
        "squared": squared / draws,
        "size": size.square(),
        "expected": sketched.meeting(rows, buckets) * batch.spread,
        "cosine": cosine / draws,
        "of_mean": total.square().sum((2, 3)) / squared,
    }
    depth, seeds = shape
    table = {"seed": [seed for seed in range(seeds) for _ in range(depth)], "block": [*range(1, depth + 1)] * seeds}
    return pd.DataFrame(table | {name: values.T.flatten() for name, values in numbers.items()})


def error(batch: Batch, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The error of the gradients of all blocks together that is to be expected, relative to them.

    Args:
        batch: What comes through the blocks.
        rows: R of each block, (depth, seeds).

    Returns:
        (seeds,): the root of the mean squared distance over the norm.
    """
    p = np.vectorize(partial(sketched.meeting, batch.x.shape[2]))(rows)
    size = batch.exact.square().sum((0, 2, 3)).numpy()
    found: NDArray[np.float64] = np.sqrt((p * batch.spread.numpy()).sum(0) / size)
    return found
