"""growth: how fast stream and gradient grow before training when branches see a share of the rows only.

Block l maps the stream x of a row to::

    x + m w alpha f_l(x)        alpha = scale / depth^a

where m is 1 for a row that goes through the branch and else 0, drawn with probability p for each row and block (as in
mixture of depths, arXiv 2404.02258, but by chance: the router of the paper looks at x).

The law. The branch f(x) = W2 relu(W1 x) ends in a linear map that is independent of x, with weights of mean zero. So
over the weights E[<x, f(x)>] = 0 and E||f(x)||^2 = chi ||x||^2, and with m independent of both::

    E||x_{l+1}||^2 = (1 + p w^2 alpha^2 chi) E||x_l||^2

The same factor takes the gradient from x_{l+1} to x_l, since E||J^T g||^2 = chi ||g||^2 and E[<g, J^T g>] = 0. Hence
over L blocks norms grow by (1 + p w^2 alpha^2 chi)^(L / 2), and w decides what p does:

- as it is, w = 1: fewer rows, less growth, sqrt(1 + p alpha^2 chi) a block;
- the mean of the branch kept, w = 1/p: sqrt(1 + alpha^2 chi / p). The rarer a branch, the *more* growth, since a
  square weighs rare large steps more;
- its power kept, w = 1/sqrt(p): sqrt(1 + alpha^2 chi), the growth that there is when all rows go through.

So a rule for scale and depth holds at any share when the branch is divided by sqrt(p). With a = 1/2 the growth stays
below exp(p w^2 scale^2 chi / 2) at any depth; with a = 1 there is next to none, with a = 0 it is exponential.

Of two experts each row goes through one, with probability p the first: whatever p is, this is one branch for all rows.
With a router that weighs the chosen expert by its softmax (arXiv 2101.03961), as in the block ``experts``, w is
p_e(x) >= 1/2, so the factor of a row is 1 + p_e^2 alpha^2 chi. The gradient also comes through the router, which the
law leaves out.

A mean over rows hides that each row has a growth of its own: k branches, k binomial, make its squared norm
(1 + w^2 alpha^2 chi)^k times as large. Where that is much, few rows make the mean, and a sample does not reach it.
Beside the law therefore stands what it says for the m that were drawn: the mean over rows of the product over blocks
of (1 + m w^2 alpha^2 chi).
"""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor, nn

from gradflow.files import parquet
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.kit.network import Network
from gradflow.params.loading import load
from gradflow.theory import Branch
from gradflow.training import device
from studies.shares.params import WEIGHTS, Growth, Params
from studies.shares.passes import passed

_INIT = "xavier"  # no biases, so the law has no further term
_KINDS = {"as it is": "nothing", "mean kept": "mean", "power kept": "power"}


@click.command()
@click.argument("written", type=click.Path(path_type=Path))
def main(written: Path) -> None:
    """Measure all settings and write the table WRITTEN."""
    growth = load(Params).growth
    device.from_environment()  # for its threads
    found = [table for depth in growth.depths for a in growth.exponents for table in measured(growth, depth, a)]
    parquet.write(written, pa.Table.from_pandas(pd.concat(found), preserve_index=False))


def measured(growth: Growth, depth: int, exponent: float) -> Iterator[pd.DataFrame]:
    """Growth over the blocks of all kinds at all shares.

    Yields:
        Columns kind, share, depth, exponent, seed; stream and gradient, see :func:`studies.shares.passes.passed`; law,
        of both (nan for experts that a router weighs); drawn, the law for what was drawn; and limit, what the law stays
        below at any depth if the exponent is 1/2 (nan for the same ones).
    """
    random = np.random.default_rng(growth.seed)
    shape = (growth.seeds, growth.rows)
    first, last = (torch.from_numpy(random.standard_normal((*shape, growth.width))) for _ in range(2))
    uniform = torch.from_numpy(random.random((depth, *shape)))
    one, other = (_drawn(growth, depth, exponent, "linear_terminated", number) for number in (0, 1))
    branch = one.blocks[0].theory(partial(Branch.drawn, _INIT, depth, growth.width))
    power = branch.scale**2 * branch.chi

    def table(
        kind: str, share: float, branches: Sequence[Network], weights: Sequence[Tensor], each: float | None
    ) -> pd.DataFrame:
        """Of weights whose square has the mean ``each``."""
        blocks: list[list[nn.Module]] = [[*network.blocks] for network in branches]
        _, stream, gradient = passed(blocks, first, weights, last)
        squares = torch.stack([own.square() for own in weights]).sum(0)
        step = math.nan if each is None else each * power
        return pd.DataFrame(
            {
                "kind": kind,
                "share": share,
                "depth": depth,
                "exponent": exponent,
                "seed": range(growth.seeds),
                "stream": stream,
                "gradient": gradient,
                "law": math.exp(depth / 2 * math.log1p(step)),
                "drawn": torch.log1p(squares * power).sum(0).exp().mean(1).sqrt(),
                "limit": math.exp(depth / 2 * step),
            }
        )

    for share in growth.shares:
        through = (uniform < share).double()
        for kind, keeps in _KINDS.items():
            weight = WEIGHTS[keeps](share)
            if kind == "as it is" or share < 1:
                yield table(kind, share, [one], [weight * through], share * weight**2)
        yield table("two experts", share, [one, other], [through, 1 - through], 1.0)
    routed = _drawn(growth, depth, exponent, "experts", 0)
    yield table("experts by softmax", 1.0, [routed], [torch.ones_like(uniform)], None).assign(
        drawn=torch.log1p(_probabilities(routed, first).square() * power).sum(0).exp().mean(1).sqrt().numpy()
    )


def _drawn(growth: Growth, depth: int, exponent: float, block: str, number: int) -> Any:
    """All seeds of a network of blocks, in float64, where the largest growth has room."""
    settings = {"scale": growth.scale, "exponent": exponent}
    about: dict[str, Any] = {"network": "trunk", "block": block, "settings": settings, "widths": None}
    make = partial(build, about | {"depth": depth, "width": growth.width})
    seed = growth.seed + number * growth.seeds
    return stack(make, seeds=growth.seeds, init=_INIT, seed=seed).double().requires_grad_(False)


def _probabilities(network: Any, x: Tensor) -> Tensor:
    """p_e of each block and row: (depth, seeds, rows)."""
    found = []
    for block in network.blocks:
        found.append(block.router(x).softmax(2).amax(2))
        x = block(x)
    return torch.stack(found)


if __name__ == "__main__":
    main()
