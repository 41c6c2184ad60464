"""Networks to measure, and the same ones as plain formulas in float64, seed by seed."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from gradflow.instruments import trace
from gradflow.kit.inits import stack
from gradflow.kit.network import Trunk

SEEDS, BATCH, DEPTH, WIDTH = 3, 12, 5, 8
VARIANTS = {
    "plain": ({}, "default"),
    "residual": ({"scale": 0.7}, "he"),
    "rezero": ({"start": 0.3}, "default"),
    "linear_terminated": ({"scale": 0.5}, "he"),
}


def squared_error(x, y):
    """The loss of learning the identity, for each seed."""
    return (y - x).square().mean((-2, -1))


@pytest.fixture(params=VARIANTS)
def measured(request):
    """A stack of networks, its trace, and for each seed what an ordinary module's autograd gives in float64."""
    settings, init = VARIANTS[request.param]
    network = stack(partial(Trunk, request.param, settings, DEPTH, WIDTH), seeds=SEEDS, init=init, seed=0)
    x = torch.randn(BATCH, WIDTH, generator=torch.Generator().manual_seed(5))
    traced = trace.record(network.blocks, x.expand(SEEDS, -1, -1), partial(squared_error, x))
    return SimpleNamespace(
        name=request.param,
        skip=request.param != "plain",
        trace=traced,
        references=[reference(request.param, settings, network, seed, x.double()) for seed in range(SEEDS)],
    )


def reference(name, settings, network, seed, x):
    """One seed's network by its formulas, and autograd's gradients of every tensor on the way."""
    own = {key: value.detach()[seed].double().requires_grad_() for key, value in network.named_parameters()}
    r = SimpleNamespace(x=[x.clone().requires_grad_()], z=[], f=[], weight=[], jacobian=[])
    for number in range(DEPTH):
        block = {key.removeprefix(f"blocks.{number}."): value for key, value in own.items() if f"s.{number}." in key}

        def pre_activation(stream, block=block):
            return stream @ block["linear.weight"].T + block["linear.bias"]

        def branch(z, block=block):
            match name:
                case "plain":
                    return z.relu()
                case "residual":
                    return settings["scale"] * z.relu()
                case "rezero":
                    return block["a"] * z.relu()
                case "linear_terminated":
                    return settings["scale"] * (z.relu() @ block["out.weight"].T + block["out.bias"])

        r.jacobian.append(
            torch.stack([torch.func.jacrev(lambda one: branch(pre_activation(one[None]))[0])(row) for row in r.x[-1]])
        )
        r.weight.append(block["linear.weight"])
        r.z.append(pre_activation(r.x[-1]))
        r.f.append(branch(r.z[-1]))
        r.x.append(r.f[-1] if name == "plain" else r.x[-1] + r.f[-1])
    loss = squared_error(x, r.x[-1])
    for key in ("x", "z", "weight"):
        setattr(r, f"{key}_gradient", torch.autograd.grad(loss, getattr(r, key), retain_graph=True))
    return r
