"""All that tests know of a block by itself: one row each. A block without a row fails the tests."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

DEPTH = 5  # of the networks in which blocks are compared with their formulas


def _same(_, x):
    return x


@dataclass(frozen=True)
class Row:
    """A block with settings, its size, and its parts by the formula of its paper.

    The parts are written for rows x in float64 and ``p``, which holds the parameters of the block by name, in a network
    of :data:`DEPTH` blocks.

    Attributes:
        block: Its name.
        settings: Of its constructor.
        parameters: How many a block of width n has.
        branch: ``branch(p, x, z)``, what it adds; z is what ``first`` gave.
        first: ``first(p, x)``, the output of its first linear map.
        carry: ``carry(p, x)``, what goes past its branch; None: nothing does.
        after: ``after(p, sum)``, what becomes of the sum of both.
        adds: Whether the next stream is x plus the branch.
        maps: Names of its linear maps, in the order in which they are made.
        theory: Fields of its :class:`gradflow.theory.Branch` with default settings; None: theory has no line for it.
        init: With which its instruments are checked.
        identity: With which settings it starts as the identity; None: with none.
    """

    block: str
    settings: dict[str, Any]
    parameters: Callable[[int], int]
    branch: Callable[..., torch.Tensor]
    first: Callable[..., torch.Tensor] = field(default=lambda p, x: _linear(p, "linear", x))
    carry: Callable[..., torch.Tensor] | None = _same
    after: Callable[..., torch.Tensor] = _same
    adds: bool = True
    maps: tuple[str, ...] = ("linear",)
    theory: dict[str, Any] | None = None
    init: str = "he"
    identity: dict[str, Any] | None = None

    def __str__(self):
        return "-".join([self.block, *map(str, self.settings.values())])


def _linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def _sigmoid(x):
    return 1 / (1 + (-x).exp())


def _rms_norm(p, x, name="norm"):
    return p[f"{name}.weight"] * x / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt()


def _layer_norm(p, x, name="norm"):
    centred = x - x.mean(-1, keepdim=True)
    normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return p[f"{name}.weight"] * normed + p[f"{name}.bias"]


def _twice(n):
    """Numbers of two maps with their biases."""
    return 2 * (n * n + n)


def _two_maps(p, _, z):
    return 0.5 * _linear(p, "out", z.relu())


def _by_the_likelier_expert(p, x, z):
    first, second = _linear(p, "out", z.relu()), _linear(p, "second_out", _linear(p, "second_linear", x).relu())
    of_first = _sigmoid(x @ (p["router.weight"][0] - p["router.weight"][1]))[..., None]
    return 0.5 * (first * of_first * (of_first > 0.5) + second * (1 - of_first) * (of_first <= 0.5))


def _by_prototypes(p, x):
    prototypes = p["prototypes.weight"]
    distances = (x.unsqueeze(-2) - prototypes).square().sum(-1) / prototypes.shape[1] ** 0.5
    nearness = (-distances).exp()
    return (nearness * _sigmoid(p["a"][0])).sum(-1, keepdim=True) / nearness.sum(-1, keepdim=True)


# Each kind of norm, and its learnt numbers a unit.
_NORMS = {"layer": (_layer_norm, 2), "rms": (_rms_norm, 1)}


def _gated(block, settings, parameters, gate, **others):
    """A block that goes from its stream to relu(z) as far as its gate is open."""
    return Row(
        block,
        settings,
        parameters,
        lambda p, x, z: gate(p, x) * z.relu(),
        carry=lambda p, x: (1 - gate(p, x)) * x,
        adds=False,
        **others,
    )


ROWS = [
    Row(
        "bottleneck",
        {"reduction": 4, "scale": 0.5},
        lambda n: 2 * n * (n // 4) + (n // 4) ** 2 + 2 * (n // 4) + n,
        lambda p, _, z: 0.5 * _linear(p, "out", _linear(p, "inner", z.relu()).relu()),
        maps=("linear", "inner", "out"),
    ),
    _gated(
        "gated",
        {"gate": "scalar", "bias": -1.0},
        lambda n: n * n + n + 1,
        lambda p, _: _sigmoid(p["a"][0]),
        init="default",
    ),
    _gated("gated", {"gate": "unit", "bias": -1.0}, lambda n: n * n + 2 * n, lambda p, _: _sigmoid(p["a"][0])),
    _gated(
        "gated",
        {"gate": "input", "bias": -1.0},
        lambda n: n * n + n + n + 1,
        lambda p, x: _sigmoid(_linear(p, "gate", x)),
        maps=("linear", "gate"),
    ),
    _gated(
        "highway",
        {"bias": -1.0},
        lambda n: 2 * (n * n + n),
        lambda p, x: _sigmoid(_linear(p, "gate", x)),
        maps=("linear", "gate"),
    ),
    Row(
        "experts",
        {"scale": 2.5, "exponent": 1.0},
        lambda n: 2 * _twice(n) + 2 * n,
        _by_the_likelier_expert,
        maps=("linear", "out", "second_linear", "second_out", "router"),
    ),
    Row(
        "fixup",
        {},
        lambda n: _twice(n) + 1,
        lambda p, _, z: p["a"][0] * _linear(p, "out", z.relu()),
        maps=("linear", "out"),
        identity={},
    ),
    *(
        Row(
            "floored",
            {"floor": floor, "bias": -1.0},
            lambda n: n * n + n + 2,
            lambda p, _, z: _sigmoid(p["b"][0]) * z.relu(),
            carry=lambda p, x, rho=rho: (rho + (1 - rho) * _sigmoid(p["a"][0])) * x,
            adds=False,
        )
        for floor, rho in ((True, 1 - 1 / DEPTH), (False, 0.0))
    ),
    Row(
        "layerscale",
        {"start": 0.3},
        lambda n: n * n + 2 * n,
        lambda p, _, z: p["s"][0] * z.relu(),
        theory={"skip": True, "second": False, "scale": 0.1},
        identity={"start": 0.0},
    ),
    Row(
        "linear_terminated",
        {"scale": 2.5, "exponent": 1.0},
        _twice,
        _two_maps,
        maps=("linear", "out"),
        theory={"skip": True, "second": True, "scale": 1.0},
    ),
    Row(
        "partial",
        {"skip": 0.3},
        lambda n: n * n + n,
        lambda p, _, z: z.relu(),
        carry=lambda _, x: 0.3 * x,
        adds=False,
        theory={"skip": True, "second": False, "scale": 1.0},
    ),
    Row(
        "plain",
        {},
        lambda n: n * n + n,
        lambda p, _, z: z.relu(),
        carry=None,
        adds=False,
        theory={"skip": False, "second": False, "scale": 1.0},
        init="default",
    ),
    *(
        Row(
            "perinorm",
            {"norm": norm, "scale": 0.5},
            lambda n, numbers=numbers: _twice(n) + 2 * numbers * n,
            lambda p, _, z, of=of: 0.5 * of(p, _linear(p, "out", z.relu()), "norm2"),
            first=lambda p, x, of=of: _linear(p, "linear", of(p, x)),
            maps=("linear", "out"),
        )
        for norm, (of, numbers) in _NORMS.items()
    ),
    *(
        Row(
            "postnorm",
            {"norm": norm, "scale": 0.5},
            lambda n, numbers=numbers: _twice(n) + numbers * n,
            _two_maps,
            after=of,
            adds=False,
            maps=("linear", "out"),
        )
        for norm, (of, numbers) in _NORMS.items()
    ),
    *(
        Row(
            "prenorm",
            {"norm": norm, "scale": 2.5, "exponent": 1.0},
            lambda n, numbers=numbers: _twice(n) + numbers * n,
            _two_maps,
            first=lambda p, x, of=of: _linear(p, "linear", of(p, x)),
            maps=("linear", "out"),
        )
        for norm, (of, numbers) in _NORMS.items()
    ),
    Row(
        "projection",
        {"scale": 0.5},
        lambda n: n * n + n,
        lambda p, _, z: 0.5 * z.relu(),
    ),
    Row(
        "prototypes",
        {"prototypes": 3, "bias": 0.5},
        lambda n: n * n + n + 3 * n + 3,
        lambda p, x, z: _by_prototypes(p, x) * z.relu(),
        maps=("linear", "prototypes"),
    ),
    Row(
        "rescaled",
        {"scale": 0.5},
        lambda n: n * n + n,
        lambda p, _, z: z.relu(),
        after=lambda _, x: 0.5 * x,
        adds=False,
    ),
    Row(
        "residual",
        {"scale": 2.5, "exponent": 1.0},
        lambda n: n * n + n,
        lambda p, _, z: 0.5 * z.relu(),
        theory={"skip": True, "second": False, "scale": 1.0},
    ),
    Row(
        "rezero",
        {"start": 0.3},
        lambda n: n * n + n + 1,
        lambda p, _, z: p["a"][0] * z.relu(),
        theory={"skip": True, "second": False, "scale": 0.0},
        init="default",
        identity={},
    ),
    Row(
        "skipinit",
        {"start": 0.3},
        lambda n: n * n + n + 1,
        lambda p, _, z: p["a"][0] * z.relu(),
        theory={"skip": True, "second": False, "scale": 1.0},
        identity={"start": 0.0},
    ),
]
every_block = pytest.mark.parametrize("row", ROWS, ids=str)
