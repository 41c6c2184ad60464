"""Networks to measure, and the same ones as plain formulas in float64, seed by seed."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from gradflow.instruments import trace
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from tests.blocks import DEPTH, ROWS

SEEDS, BATCH, WIDTH = 3, 12, 8


def squared_error(x, y):
    """The loss of learning the identity, for each seed."""
    return (y - x).square().mean((-2, -1))


@pytest.fixture(params=ROWS, ids=str)
def built(request):
    """A function that makes a stack of networks of that kind and size, with norms and gates that are not all alike."""
    row = request.param

    def make(kind, depth=DEPTH, width=WIDTH):
        described = {"network": kind, "block": row.block, "settings": row.settings, "widths": None}
        network = stack(
            partial(build, described | {"depth": depth, "width": width}), seeds=SEEDS, init=row.init, seed=0
        )
        random = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for value in network.parameters():
                if len(value.unique()) <= 2:  # norms, gates and factors, which start as the same numbers everywhere
                    value.add_(torch.randn(value.shape, generator=random), alpha=0.3)
        return network

    return SimpleNamespace(row=row, make=make)


@pytest.fixture
def measured(built):
    """A stack of networks, its trace, and for each seed what an ordinary module's autograd gives in float64."""
    network = built.make("trunk")
    x = torch.randn(BATCH, WIDTH, generator=torch.Generator().manual_seed(5))
    traced = trace.record(network.blocks, x.expand(SEEDS, -1, -1), partial(squared_error, x))
    return SimpleNamespace(
        row=built.row,
        trace=traced,
        references=[reference(built.row, network, seed, x.double()) for seed in range(SEEDS)],
    )


def reference(row, network, seed, x):
    """One seed's network by its formulas, and autograd's gradients of every tensor on the way."""
    own = {key: value.detach()[seed].double().requires_grad_() for key, value in network.named_parameters()}
    r = SimpleNamespace(x=[x.clone().requires_grad_()], z=[], f=[], sum=[], weights=[], carried=[], jacobians=[])
    for number in range(DEPTH):
        prefix = f"blocks.{number}."
        block = {key.removeprefix(prefix): value for key, value in own.items() if key.startswith(prefix)}
        carry = row.carry or (lambda _, x: 0 * x)
        before = r.x[-1]
        r.z.append(row.first(block, before))
        r.f.append(row.branch(block, before, r.z[-1]))
        r.carried.append(carry(block, before))
        r.sum.append(r.carried[-1] + r.f[-1])
        r.x.append(row.after(block, r.sum[-1]))
        r.weights.append([block[f"{name}.weight"] for name in row.maps])
        parts = partial(carry, block), lambda x, block=block: row.branch(block, x, row.first(block, x))
        r.jacobians.append([torch.stack([torch.func.jacrev(part)(one) for one in before]) for part in parts])
    loss = squared_error(x, r.x[-1])
    for key in ("x", "z", "sum"):
        setattr(r, f"{key}_gradient", torch.autograd.grad(loss, getattr(r, key), retain_graph=True))
    r.weight_gradients = [torch.autograd.grad(loss, own, retain_graph=True) for own in r.weights]
    return r
