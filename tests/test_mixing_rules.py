"""Mixing rules: each against a formula written for one network, its size, its start, and what must leave it alone."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from gradflow.guards.errors import InputError
from gradflow.kit.building import build
from gradflow.kit.layers import linear_maps
from gradflow.moons import training
from gradflow.training import compiled
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows

SEEDS, SCALE = 2, 1 / math.sqrt(2)
FOLDER = Path(__file__).parents[1] / "gradflow/mixing"
RULES = {
    "denseformer": {"rule": "denseformer"},
    "static": {"rule": "hyper_connections", "streams": 2, "dynamic": False},
    "dynamic": {"rule": "hyper_connections", "streams": 3, "dynamic": True},
    "alone": {"rule": "depth_attention", "form": "alone", "scaled": True},
    "normed": {"rule": "depth_attention", "form": "normed", "scaled": False},
    "added": {"rule": "depth_attention", "form": "added"},
    "matrix": {"rule": "matrix_stream", "slots": 3},
}
STARTS_RESIDUAL = ("denseformer", "static", "dynamic", "added")
SIZES = [  # depth 20, width 64
    ("denseformer", {}, 20 * 23 // 2, 230),
    ("hyper_connections", {"streams": 2}, 20 * (2 + 4 + 2), 160),
    ("hyper_connections", {"streams": 2, "dynamic": True}, 160 + 20 * (64 * (2 + 1 + 1) + 64 + 2), 6600),
    ("depth_attention", {"form": "alone"}, 20 * 64, 1280),
    ("depth_attention", {"form": "normed"}, 20 * 64, 1280),
    ("depth_attention", {"form": "added"}, 20 * (64 + 1), 1300),
    ("matrix_stream", {"slots": 4}, 2 * 21 * 4, 168),
]


def about(mixing, depth=4, width=5, block="residual"):
    settings = {"scale": SCALE, "exponent": 0.0} if block == "residual" else {}
    described = {"network": "mlp", "block": block, "settings": settings, "widths": None}
    return described | {"depth": depth, "width": width, "init": "default", "mixing": mixing}


def shaken(mixing, **others):
    """A network of all seeds, away from its start, in float64."""
    network = training.drawn(about(mixing, **others), SEEDS, 0).double()
    random = torch.Generator().manual_seed(1)
    for value in network.mixing.parameters():
        value.data += 0.3 * torch.randn(value.shape, generator=random, dtype=value.dtype)
    return network


def rms(x):
    return x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()


def logits(p, x, name, depth=4):
    """The network of one seed by the formulas of the papers, p its parameters by name."""

    def f(at, h):
        return SCALE * torch.relu(h @ p[f"blocks.{at}.linear.weight"].T + p[f"blocks.{at}.linear.bias"])

    x = x @ p["stem.weight"].T + p["stem.bias"]
    if name == "denseformer":
        made = [x]
        for at in range(depth):
            made.append(x + f(at, x))
            x = torch.einsum("j,jbn->bn", p[f"mixing.a.{at}"][0], torch.stack(made))
    elif name in ("static", "dynamic"):
        n = RULES[name]["streams"]
        h = x.expand(n, *x.shape)
        for at in range(depth):
            m, r, b = (p[f"mixing.{part}.{at}"][0] for part in ("read", "keep", "write"))
            m, r, b = m[:, None], r.view(n, n, 1), b[:, None]
            if name == "dynamic":
                s, t = p[f"mixing.scales.{at}"][0]
                more = torch.tanh(rms(h) * p[f"mixing.norms.{at}.weight"] @ p[f"mixing.maps.{at}.weight"].T)
                m, r, b = m + s * more[..., 0], r + s * more[..., 1:-1].transpose(1, 2), b + t * more[..., -1]
            branch = f(at, (m[..., None] * h).sum(0))
            h = torch.stack([(r[:, j, :, None] * h).sum(0) + b[j, :, None] * branch for j in range(n)])
        x = h.mean(0)
    elif name == "matrix":
        matrix = torch.einsum("s,bn->bsn", p["mixing.writes.0"][0], x)
        for at in range(depth):
            read = torch.einsum("s,bsn->bn", p[f"mixing.reads.{at}"][0], matrix)
            matrix = matrix + torch.einsum("s,bn->bsn", p[f"mixing.writes.{at + 1}"][0], f(at, read))
        x = torch.einsum("s,bsn->bn", p[f"mixing.reads.{depth}"][0], matrix)
    else:
        values = [x]
        for at in range(depth):
            made = f(at, rms(x) if name == "normed" else x)
            values.append(x + made if name == "added" else made)
            scale = x.shape[-1] ** -0.5 if RULES[name].get("scaled", True) else 1
            scores = scale * torch.stack([rms(v) @ p[f"mixing.queries.{at}"][0] for v in values])
            mixed = (scores.softmax(0)[..., None] * torch.stack(values)).sum(0)
            x = values[-1] + p[f"mixing.gains.{at}"][0] * mixed if name == "added" else mixed
    return x @ p["head.weight"].T + p["head.bias"]


def test_every_rule_is_tested_and_read_on_one_page():
    files = {path.stem: path for path in FOLDER.glob("*.py") if path.stem != "__init__"}
    assert set(files) == {rule["rule"] for rule in RULES.values()} == {rule for rule, *_ in SIZES}
    for path in files.values():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 80, path


@pytest.mark.parametrize("name", RULES)
def test_outputs_and_gradients_are_those_of_the_formula(name):
    network = shaken(RULES[name])
    random = torch.Generator().manual_seed(2)
    points = torch.randn(SEEDS, 7, 2, generator=random, dtype=torch.float64)
    labels = torch.randint(2, (7,), generator=random)
    found = network(points)
    gradients = torch.autograd.grad(
        sum(cross_entropy(own, labels) for own in found), list(network.parameters()), materialize_grads=True
    )
    of_network = dict(zip([key for key, _ in network.named_parameters()], gradients, strict=True))
    for seed in range(SEEDS):
        p = {key: value[seed].detach().clone().requires_grad_() for key, value in network.named_parameters()}
        expected = logits(p, points[seed], name)
        torch.testing.assert_close(found[seed], expected)
        wanted = torch.autograd.grad(cross_entropy(expected, labels), list(p.values()), materialize_grads=True)
        for key, gradient in zip(p, wanted, strict=True):
            assert gradient.any(), f"{key} does not matter"
            torch.testing.assert_close(of_network[key][seed], gradient)


@pytest.mark.parametrize("name", RULES)
def test_a_stack_computes_what_its_networks_compute(name):
    network = shaken(RULES[name])
    single = build(about(RULES[name])).double()
    single.load_state_dict({key: value[1] for key, value in network.state_dict().items()})
    points = torch.randn(SEEDS, 7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(network(points)[1], single(points[1]))


@pytest.mark.parametrize("name", RULES)
def test_the_weights_start_as_without_mixing_and_so_do_the_logits_where_the_paper_says_so(name):
    mixed, without = (training.drawn(about(mixing, 20, 64), SEEDS, 0) for mixing in (RULES[name], None))
    for key, value in without.named_parameters():
        assert torch.equal(mixed.get_parameter(key), value), key
    points = torch.randn(SEEDS, 50, 2, generator=torch.Generator().manual_seed(2))
    apart = (mixed(points) - without(points)).abs().max().item()
    assert apart <= 1e-5 if name in STARTS_RESIDUAL else apart > 0.1


@pytest.mark.parametrize(("rule", "settings", "formula", "size"), SIZES)
def test_parameter_count(rule, settings, formula, size):
    mixed, without = (build(about(each, 20, 64)) for each in ({"rule": rule, **settings}, None))
    numbers = [sum(value.numel() for value in each.parameters()) for each in (mixed, without)]
    assert numbers[0] - numbers[1] == formula == size


def test_shares_over_depth_sum_to_one_and_tell_what_is_mixed():
    network = shaken(RULES["alone"])
    x = torch.randn(SEEDS, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    shares = network.mixing.weights(network.blocks, x)
    assert [each.shape for each in shares] == [(SEEDS, 7, blocks + 2) for blocks in range(4)]
    for each in shares:
        torch.testing.assert_close(each.sum(-1), torch.ones_like(each[..., 0]))
    values = torch.stack([x, network.blocks[0].branch(x)], -1)
    second = (values * shares[0].unsqueeze(-2)).sum(-1)
    torch.testing.assert_close(network.mixing(network.blocks[:1], x), second)
    assert shaken(RULES["matrix"]).mixing.weights(network.blocks, x) is None


def test_c_takes_no_step_of_a_mixed_network_and_none_of_its_maps_is_logged():
    rows = torch.randn(8, 2), torch.randint(2, (8,))
    task = Rows(rows, rows, epochs=1, batch_size=8, seed=0, probe_rows=1, probe_every=1)
    without, mixed = (training.drawn(about(each, width=16), SEEDS, 0) for each in (None, RULES["dynamic"]))
    descent = Descent("sgd", 0.1, 0.9, 1.0)
    assert compiled.can_train(without, task, descent) and not compiled.can_train(mixed, task, descent)
    step = compiled.fastest(mixed, task, descent)
    assert step.engine == "PyTorch"
    before = [value.clone() for value in mixed.mixing.parameters()]
    step(torch.arange(8))
    assert not all(torch.equal(old, new) for old, new in zip(before, mixed.mixing.parameters(), strict=True))
    assert step.probe(*rows)[..., 0].isfinite().all()
    assert linear_maps(mixed.mixing) and [each.name for each in mixed.linear_maps()] == [
        each.name for each in without.linear_maps()
    ]


def test_without_a_rule_a_network_is_its_parts_one_after_the_other():
    network = training.drawn(about(None, width=16), SEEDS, 0)
    points = torch.randn(SEEDS, 7, 2)
    assert torch.equal(network(points), network.head(network.blocks(network.stem(points))))
    assert all(one.layer <= other.layer for one, other in pairwise(network.linear_maps()))


def test_a_block_that_does_not_let_the_rule_carry_is_refused_in_one_line():
    with pytest.raises(InputError) as error:
        build(about(RULES["static"], block="gated"))
    rule = "cannot stand in a network mixed by hyper_connections, which needs its branch alone"
    assert error.value.message == f"gradflow/blocks/gated.py: {rule}"
    build(about(RULES["denseformer"], block="gated"))
