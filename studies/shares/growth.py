"""growth: how fast stream and gradient grow before training when branches see a share of the rows only.

Block l maps the stream x of a row to::

    x + m w alpha f_l(x)        alpha = scale / depth^a

where m is 1 for a row that goes through the branch and else 0, drawn with probability p for each row and block (as in
mixture of depths, arXiv 2404.02258, but by chance), and w is 1, or 1/p where the branch is rescaled so that its mean
stays what it is at p = 1.

The law. The branch f(x) = W2 relu(W1 x) ends in a linear map that is independent of x, with weights of mean zero. So
over the weights E[<x, f(x)>] = 0 and E||f(x)||^2 = chi ||x||^2, and with m independent of both::

    E||x_{l+1}||^2 = (1 + p w^2 alpha^2 chi) E||x_l||^2

The same factor takes the gradient from x_{l+1} to x_l, since E||J^T g||^2 = chi ||g||^2 and E[<g, J^T g>] = 0. Hence
over L blocks norms grow by (1 + p w^2 alpha^2 chi)^(L / 2), which is

- without rescaling sqrt(1 + p alpha^2 chi) a block: fewer rows, less growth;
- with it sqrt(1 + alpha^2 chi / p): the rarer a branch, the *more* growth, since a square weighs rare large steps more.
  What would keep the power, w = 1/sqrt(p), does not keep the mean;
- for a = 1/2 at most exp(p w^2 scale^2 chi / 2) at any depth, for a = 1 nearly none, for a = 0 exponential.

With two experts, of which each row goes through one, every row goes through one branch: the factor is that of p = 1
whichever expert it is, and though each sees half of the rows. Weighted by the probability of the choice, as in
mixtures of experts (arXiv 1701.06538), w is 1/2.

A mean over rows hides that each row has a growth of its own: k branches, k binomial, make its squared norm
(1 + w^2 alpha^2 chi)^k times as large. Where that is much, few rows make the mean, and a sample does not reach it.
Beside the law therefore stands what it says for the m that were drawn: the mean over rows of the product over blocks
of (1 + m w^2 alpha^2 chi).
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from gradflow.files import parquet
from gradflow.kit.block import Block
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params.loading import load
from gradflow.theory import Branch
from gradflow.training import device
from studies.shares.params import Growth, Params
from studies.shares.size import size

_INIT = "xavier"  # no biases, so the law has no further term


@click.command()
@click.argument("written", type=click.Path(path_type=Path))
def main(written: Path) -> None:
    """Measure all settings and write the table WRITTEN."""
    growth = load(Params).growth
    device.from_environment()  # for its threads
    found = []
    for depth in growth.depths:
        for exponent in growth.exponents:
            experts = _experts(growth, depth, exponent)
            for share in growth.shares:
                for kind, weight in (("as it is", 1.0), ("rescaled", 1 / share)):
                    if kind == "as it is" or share < 1:
                        setting = {"kind": kind, "share": share, "depth": depth, "exponent": exponent}
                        found.append(_measure(growth, experts[:1], setting, weight))
            for kind, weight in (("experts", 1.0), ("weighted experts", 0.5)):
                setting = {"kind": kind, "share": 0.5, "depth": depth, "exponent": exponent}
                found.append(_measure(growth, experts, setting, weight))
    parquet.write(written, pa.Table.from_pandas(pd.concat(found), preserve_index=False))


def _experts(growth: Growth, depth: int, exponent: float) -> list[list[Block]]:
    """Two branches for each block, as blocks of two networks of all seeds."""
    settings = {"scale": growth.scale, "exponent": exponent}
    about: dict[str, Any] = {"network": "trunk", "block": "linear_terminated", "settings": settings, "widths": None}
    about |= {"depth": depth, "width": growth.width}
    make = partial(build, about)
    first, second = (
        stack(make, seeds=growth.seeds, init=_INIT, seed=growth.seed + number * growth.seeds) for number in (0, 1)
    )
    return [[block for block in each.blocks if isinstance(block, Block)] for each in (first, second)]


def _measure(
    growth: Growth, experts: Sequence[Sequence[Block]], setting: Mapping[str, Any], weight: float
) -> pd.DataFrame:
    """Growth of stream and gradient, root mean squares over rows, of one setting.

    Returns:
        Columns kind, share, depth, exponent, seed; stream, ||x_depth|| / ||x_0||; gradient, ||dx_0|| / ||dx_depth|| for
        a random gradient at the end; law, of both; and drawn, the law for what was drawn.
    """
    depth, shape = setting["depth"], (growth.seeds, growth.rows)
    random = np.random.default_rng(growth.seed)
    normal = [torch.from_numpy(random.standard_normal((*shape, growth.width))).float() for _ in range(2)]
    first = normal[0].requires_grad_()
    x, through = first, torch.zeros(shape, dtype=torch.float64)
    for blocks in zip(*experts, strict=True):
        below = torch.from_numpy(random.random(shape) < setting["share"])
        chosen = [below] if len(blocks) == 1 else [below, ~below]
        through += torch.stack(chosen).sum(0)
        x = x + weight * sum(rows[..., None] * block.branch(x) for block, rows in zip(blocks, chosen, strict=True))
    (back,) = torch.autograd.grad((x * normal[1]).sum(), first)
    branch = experts[0][0].theory(partial(Branch.drawn, _INIT, depth, growth.width))
    assert branch
    power = (weight * branch.scale) ** 2 * branch.chi
    share = 1.0 if len(experts) == 2 else setting["share"]
    return pd.DataFrame(
        {
            **setting,
            "seed": range(growth.seeds),
            "stream": size(x.detach()) / size(first.detach()),
            "gradient": size(back) / size(normal[1]),
            "law": math.exp(depth / 2 * math.log1p(share * power)),
            "drawn": ((1 + power) ** through).mean(1).sqrt(),
        }
    )


if __name__ == "__main__":
    main()
