"""Networks to measure, and the same ones as plain formulas in float64, seed by seed."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from gradflow.instruments import trace
from gradflow.kit.building import build
from gradflow.kit.inits import stack

SEEDS, BATCH, DEPTH, WIDTH = 3, 12, 5, 8
VARIANTS = {
    "bottleneck": ("bottleneck", {"reduction": 2, "scale": 0.5}, "he"),
    "gated": ("gated", {"gate": "scalar", "bias": -1.0}, "default"),
    "gated, unit by unit": ("gated", {"gate": "unit", "bias": -1.0}, "he"),
    "highway": ("highway", {"bias": -1.0}, "he"),
    "linear_terminated": ("linear_terminated", {"scale": 0.5}, "he"),
    "plain": ("plain", {}, "default"),
    "postnorm": ("postnorm", {"norm": "layer", "scale": 0.7}, "default"),
    "postnorm, rms": ("postnorm", {"norm": "rms", "scale": 0.7}, "he"),
    "prenorm": ("prenorm", {"norm": "layer", "scale": 0.7}, "he"),
    "prenorm, rms": ("prenorm", {"norm": "rms", "scale": 0.7}, "default"),
    "rescaled": ("rescaled", {"scale": 0.7}, "he"),
    "residual": ("residual", {"scale": 0.7}, "he"),
    "rezero": ("rezero", {"start": 0.3}, "default"),
}
CARRY_NOTHING = ("plain",)
ADD_TO_THE_STREAM = ("bottleneck", "linear_terminated", "prenorm", "residual", "rezero")


def squared_error(x, y):
    """The loss of learning the identity, for each seed."""
    return (y - x).square().mean((-2, -1))


@pytest.fixture(scope="session")
def variants():
    """All networks that are measured: block, settings, initialisation."""
    return VARIANTS


@pytest.fixture(params=VARIANTS)
def built(request):
    """A function that makes a stack of networks of that kind and size, with norms and gates that are not all alike."""
    name, settings, init = VARIANTS[request.param]

    def make(kind, depth=DEPTH, width=WIDTH):
        described = {"network": kind, "block": name, "settings": settings, "widths": None}
        network = stack(partial(build, described | {"depth": depth, "width": width}), seeds=SEEDS, init=init, seed=0)
        random = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for key, value in network.named_parameters():
                if ".norm." in key or key.endswith((".a", ".gate.bias")):  # which start as the same numbers everywhere
                    value.add_(torch.randn(value.shape, generator=random), alpha=0.3)
        return network

    return SimpleNamespace(name=name, settings=settings, make=make)


@pytest.fixture
def measured(built):
    """A stack of networks, its trace, and for each seed what an ordinary module's autograd gives in float64."""
    network = built.make("trunk")
    x = torch.randn(BATCH, WIDTH, generator=torch.Generator().manual_seed(5))
    traced = trace.record(network.blocks, x.expand(SEEDS, -1, -1), partial(squared_error, x))
    return SimpleNamespace(
        name=built.name,
        carries=built.name not in CARRY_NOTHING,
        adds=built.name in ADD_TO_THE_STREAM,
        trace=traced,
        references=[reference(built.name, built.settings, network, seed, x.double()) for seed in range(SEEDS)],
    )


def reference(name, settings, network, seed, x):
    """One seed's network by its formulas, and autograd's gradients of every tensor on the way."""
    own = {key: value.detach()[seed].double().requires_grad_() for key, value in network.named_parameters()}
    r = SimpleNamespace(x=[x.clone().requires_grad_()], z=[], f=[], sum=[], weights=[], carried=[], jacobians=[])
    for number in range(DEPTH):
        prefix = f"blocks.{number}."
        block = {key.removeprefix(prefix): value for key, value in own.items() if key.startswith(prefix)}
        first, branch, carry, after = formulas(name, settings, block)
        before = r.x[-1]
        r.z.append(first(before))
        r.f.append(branch(before, r.z[-1]))
        r.carried.append(carry(before))
        r.sum.append(r.carried[-1] + r.f[-1])
        r.x.append(after(r.sum[-1]))
        r.weights.append([value for key, value in block.items() if value.ndim == 2 and key != "a"])
        parts = carry, lambda row, branch=branch, first=first: branch(row, first(row))
        r.jacobians.append([torch.stack([torch.func.jacrev(part)(row) for row in before]) for part in parts])
    loss = squared_error(x, r.x[-1])
    for key in ("x", "z", "sum"):
        setattr(r, f"{key}_gradient", torch.autograd.grad(loss, getattr(r, key), retain_graph=True))
    r.weight_gradients = [torch.autograd.grad(loss, own, retain_graph=True) for own in r.weights]
    return r


def formulas(name, settings, p):
    """The parts of a block by the formula of its paper, with parameters p, each for a row or many.

    Returns:
        The output of its first linear map, from the stream; its branch, from the stream and that output; what it
        carries, from the stream; what becomes of the sum of these two.
    """
    scale = settings.get("scale", 1.0)

    def linear(key, x):
        return x @ p[f"{key}.weight"].T + p[f"{key}.bias"]

    def norm(x):
        if settings["norm"] == "rms":
            return p["norm.weight"] * x / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt()
        centred = x - x.mean(-1, keepdim=True)
        return p["norm.weight"] * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() + p["norm.bias"]

    def sigmoid(x):
        return 1 / (1 + (-x).exp())

    def first(x):
        return linear("linear", x)

    def same(x):
        return x

    def gate(x):
        return sigmoid(linear("gate", x)) if name == "highway" else sigmoid(p["a"][0])

    return {
        "bottleneck": (first, lambda _, z: scale * linear("out", linear("inner", z.relu()).relu()), same, same),
        "gated": (first, lambda x, z: gate(x) * z.relu(), lambda x: (1 - gate(x)) * x, same),
        "highway": (first, lambda x, z: gate(x) * z.relu(), lambda x: (1 - gate(x)) * x, same),
        "linear_terminated": (first, lambda _, z: scale * linear("out", z.relu()), same, same),
        "plain": (first, lambda _, z: z.relu(), lambda x: 0 * x, same),
        "postnorm": (first, lambda _, z: scale * z.relu(), same, norm),
        "prenorm": (lambda x: linear("linear", norm(x)), lambda _, z: scale * z.relu(), same, same),
        "rescaled": (first, lambda _, z: z.relu(), same, lambda x: scale * x),
        "residual": (first, lambda _, z: scale * z.relu(), same, same),
        "rezero": (first, lambda _, z: p["a"][0] * z.relu(), same, same),
    }[name]
