"""Every block: its row here, its size, its gradient, and that a stack of networks is the networks."""

import math
import re
import runpy
from functools import partial
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from gradflow.drawing.inits import called
from gradflow.instruments import branch_ratio, gradient_split, trace
from gradflow.kit import block
from gradflow.kit.block import Place
from gradflow.kit.building import build
from gradflow.kit.inits import INITS, stack
from gradflow.kit.layers import Kit
from gradflow.params import catalogue
from gradflow.params.sections import Init
from gradflow.theory import variances
from tests.blocks import DEPTH, ROWS, every_block

ROOT = Path(__file__).parents[1]


def one(name, settings, width=4):
    """A single block of a single network."""
    return block.named(name)(Kit(), Place(width, width, DEPTH), **settings)


def described(name, settings, depth, width, network="mlp"):
    return {
        "network": network,
        "block": name,
        "settings": settings,
        "depth": depth,
        "width": width,
        "widths": None,
    }


def stacked(*network, seeds, init="default", seed=0, **kwargs):
    return stack(partial(build, described(*network, **kwargs)), seeds=seeds, init=init, seed=seed)


def test_every_block_has_a_row():
    assert {row.block for row in ROWS} == set(catalogue.names())


def test_the_table_in_docs_is_that_of_the_files():
    made = runpy.run_path(str(ROOT / "docs/blocks.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), "make blocks"


@every_block
def test_settings_read_from_the_source_are_those_of_the_constructor(row):
    assert set(catalogue.settings(row.block)) == set(row.settings)
    one(row.block, {key: default for key, (_, default) in catalogue.settings(row.block).items()})


@every_block
def test_parameter_count(row):
    assert sum(p.numel() for p in one(row.block, row.settings, width=16).parameters()) == row.parameters(16)


@every_block
def test_gradient_agrees_with_finite_differences(row):
    torch.manual_seed(0)
    made = one(row.block, row.settings, width=5).double()
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(made, (x,))


@every_block
def test_the_next_stream_is_what_the_block_does_to_the_sum_of_what_it_carries_and_its_branch(row):
    torch.manual_seed(0)
    made, x = one(row.block, row.settings), torch.randn(3, 4)
    carried, branch = made.carry(x), made.branch(x)
    assert branch.any()
    torch.testing.assert_close(made(x), made.after(branch if carried is None else carried + branch))


@every_block
def test_a_block_says_whether_it_adds_to_its_stream(row):
    torch.manual_seed(0)
    made, x = one(row.block, row.settings), torch.randn(3, 4)
    says = block.adds_to_the_stream(made, x, made.carry(x))
    assert says == torch.allclose(made(x) - x, made.branch(x), atol=1e-6)


@every_block
@pytest.mark.parametrize("init", INITS)
def test_a_stack_computes_what_its_networks_compute(row, init):
    together = stacked(row.block, row.settings, 3, 8, seeds=4, init=init, seed=10)
    x = torch.randn(5, 2)
    outputs = together(x.expand(4, -1, -1))
    for seed in range(4):
        torch.manual_seed(10 + seed)
        single = build(described(row.block, row.settings, 3, 8))
        with torch.no_grad():
            INITS[init](single)
            for each in single.blocks:
                each.start()
        torch.testing.assert_close(outputs[seed], single(x))
        assert all(torch.equal(together.get_parameter(key)[seed], own) for key, own in single.named_parameters())


def test_a_seed_starts_the_same_whatever_the_number_of_seeds():
    few = stacked("highway", {}, 2, 4, seeds=2).state_dict()
    many = stacked("highway", {}, 2, 4, seeds=5).state_dict()
    assert all(torch.equal(few[name], many[name][:2]) for name in few)


def test_initialising_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    stacked("plain", {}, 2, 4, seeds=2, init="he")
    assert torch.equal(torch.rand(1), expected)


def test_he_draws_variance_two_over_inputs_and_no_bias():
    network = build(described("plain", {}, 1, 400))
    INITS["he"](network)
    [linear] = [each.module for each in network.linear_maps() if each.layer == 1]
    assert float(linear.weight.detach().var()) == pytest.approx(2 / 400, rel=0.05)
    assert not linear.bias.any()


def test_a_rezero_block_starts_as_the_identity_and_can_leave_it():
    made, x = one("rezero", {}), torch.randn(3, 4)
    assert torch.equal(made(x), x)
    made(x).square().sum().backward()
    assert made.a.grad.item() != 0


@every_block
def test_only_blocks_that_say_so_start_as_the_identity_whatever_their_weights(row):
    trunk = stacked(row.block, row.identity or {}, 6, 8, seeds=3, init="he", network="trunk")
    x = torch.randn(3, 5, 8)
    assert torch.equal(trunk(x), x) == (row.identity is not None)


def test_layerscale_starts_within_its_factor_of_the_identity_by_depth():
    for depth, start in ((18, 0.1), (24, 1e-5), (25, 1e-6)):
        trunk = stacked("layerscale", {}, depth, 16, seeds=2, init="default", network="trunk")
        x = torch.randn(2, 5, 16)
        first = trunk.blocks[0]
        torch.testing.assert_close(first.branch(x), start * first.linear(x).relu(), rtol=1e-6, atol=0)


def test_fixup_shrinks_its_first_maps_by_the_root_of_the_depth():
    he, fixup = (stacked(name, {}, 9, 16, seeds=2, init="he") for name in ("linear_terminated", "fixup"))
    assert float(he.blocks[0].linear.weight.detach().std()) == pytest.approx((2 / 16) ** 0.5, rel=0.1)
    torch.testing.assert_close(fixup.blocks[0].linear.weight, he.blocks[0].linear.weight / 3)
    assert not fixup.blocks[0].out.weight.any()


def test_scales_are_divided_by_a_power_of_the_depth():
    scales = {
        exponent: stacked("residual", {"scale": 3.0, "exponent": exponent}, 4, 8, seeds=1).blocks[0].scale
        for exponent in (0.0, 0.5, 1.0)
    }
    assert scales == {0.0: 3.0, 0.5: 1.5, 1.0: 0.75}


def test_a_projection_stands_only_where_the_width_changes():
    network = build(described("projection", {"scale": 0.5}, 4, 8) | {"widths": [8, 6]})
    assert [each.name for each in network.linear_maps() if "projection" in each.name] == ["block_3.projection"]
    first, third, x = network.blocks[0], network.blocks[2], torch.randn(3, 8)
    torch.testing.assert_close(first(x), x + 0.5 * first.linear(x).relu())
    torch.testing.assert_close(third(x), x @ third.projection.weight.T + 0.5 * third.linear(x).relu())


def test_gpt2_divides_what_is_written_to_the_stream_by_the_root_of_the_depth_and_nothing_else():
    def deviation(name, settings, part, init="gpt2"):
        weights = [getattr(each, part).weight for each in stacked(name, settings, 16, 64, seeds=4, init=init).blocks]
        return float(torch.stack(weights).detach().std()) * 8  # times the root of the width

    assert deviation("linear_terminated", {}, "linear") == pytest.approx(1, rel=0.02)
    assert deviation("linear_terminated", {}, "out") == pytest.approx(1 / 4, rel=0.02)
    assert deviation("residual", {}, "linear") == pytest.approx(1 / 4, rel=0.02)
    assert deviation("plain", {}, "linear") == pytest.approx(1, rel=0.02)
    assert deviation("linear_terminated", {}, "out", init="lecun") == pytest.approx(1, rel=0.02)
    for row in ROWS:
        made = one(row.block, row.settings)
        assert set(made.writes) <= set(row.maps)


def test_orthogonal_maps_keep_lengths_and_xavier_balances_inputs_and_outputs():
    network = build(described("plain", {}, 1, 32))
    INITS["orthogonal"](network)
    weight = network.blocks[0].linear.weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(32), rtol=0, atol=1e-5)
    network = build(described("plain", {}, 1, 600))
    torch.manual_seed(0)
    INITS["xavier"](network)
    assert float(network.stem.weight.detach().var()) == pytest.approx(2 / 602, rel=0.1)
    assert not network.stem.bias.any()


@pytest.mark.parametrize("init", INITS)
def test_all_gates_start_with_the_bias_that_was_set(init):
    highway = stacked("highway", {"bias": -3.0}, 2, 8, seeds=3, init=init)
    for each in highway.blocks:
        assert torch.equal(each.gate.bias, torch.full((3, 8), -3.0))
        assert each.gate.weight.std() > 0.1, "the gate looks at the stream from the start"
    for gate, width in (("scalar", 1), ("unit", 8)):
        gated = stacked("gated", {"gate": gate, "bias": -3.0}, 2, 8, seeds=3, init=init)
        assert all(torch.equal(each.a, torch.full((3, 1, width), -3.0)) for each in gated.blocks)


@pytest.mark.parametrize("name", ["highway", "gated"])
def test_an_open_gate_leaves_the_layer_and_a_closed_one_the_stream(name):
    torch.manual_seed(0)
    x = torch.randn(3, 4)
    for bias in (-100.0, 100.0):
        made = one(name, {"bias": bias})
        made.start()
        torch.testing.assert_close(made(x), x if bias < 0 else made.linear(x).relu())


def traced(name, settings, init="default", depth=20, width=64, seeds=4):
    """A trace of a trunk at its start, whose loss knows nothing of the weights."""
    random = torch.Generator().manual_seed(1)
    x, v = torch.rand(64, width, generator=random) * 2 - 1, torch.randn(64, width, generator=random)
    trunk = stacked(name, settings, depth, width, seeds=seeds, init=init, network="trunk")
    return trace.record(trunk.blocks, x.expand(seeds, -1, -1), lambda last: (last * v).sum((1, 2)))


@pytest.mark.parametrize(("name", "expected"), [("postnorm", 1.0), ("prenorm", 33.0), ("perinorm", 33.0)])
def test_the_power_of_a_stream_of_32_blocks_goes_with_where_the_norm_stands(name, expected):
    """With a branch of power 1: He's weights give one of two maps a power of 2."""
    settings = {"scale": 0.5**0.5} if name == "prenorm" else {}
    found = traced(name, settings, "he", depth=32, width=128)
    start, end = (float(found.x[layer].square().mean()) for layer in (0, -1))
    own = 1.0 if name == "postnorm" else start  # a norm sets the power, the others add to that of the input
    assert end - own == pytest.approx(expected - 1, rel=0.1, abs=0.1)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_a_norm_behind_the_branch_makes_the_scale_of_its_weights_vanish(norm):
    """A hundredfold W1 leaves the outputs and the gradients of W2 as they are, and divides those of W1 by 100."""
    x, v = torch.randn(2, 2, 64, 16, generator=torch.Generator().manual_seed(1))

    def measured(name, factor):
        trunk = stacked(name, {"norm": norm}, 4, 16, seeds=2, init="he", network="trunk")
        with torch.no_grad():
            for each in trunk.blocks:
                each.linear.weight.mul_(factor)
        last = trunk(x)
        (last * v).sum().backward()
        first, second = (
            torch.stack([getattr(each, part).weight.grad.norm() for each in trunk.blocks]) for part in ("linear", "out")
        )
        return last, first, second

    (last, first, second), (after, shrunk, same) = (measured("perinorm", factor) for factor in (1.0, 100.0))
    torch.testing.assert_close(after, last, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(same, second, rtol=1e-3, atol=0)
    torch.testing.assert_close(shrunk * 100, first, rtol=1e-3, atol=0)
    (last, _, _), (after, _, _) = (measured("prenorm", factor) for factor in (1.0, 100.0))
    assert float(after.detach().norm() / last.detach().norm()) > 50, (
        "without that norm the output grows with the weights"
    )


@pytest.mark.parametrize("bias", [0.0, -2.0])
def test_gates_that_do_not_look_pass_gradients_on_by_their_law(bias):
    """||dx_0|| / ||dx_L|| = f^L with f^2 = (1 - g)^2 + g^2 chi, and chi = 1/6 for the default initialisation."""
    g = 1 / (1 + math.exp(-bias))
    found = traced("gated", {"bias": bias}, seeds=40)
    ratio = float((found.g[0].square().sum() / found.g[-1].square().sum()).sqrt())
    assert ratio == pytest.approx(((1 - g) ** 2 + g**2 / 6) ** 10, rel=0.15)


@pytest.mark.parametrize("bias", [-5.0, -3.0, -2.0])
@pytest.mark.parametrize("name", ["highway", "gated"])
def test_a_nearly_closed_gate_lets_one_minus_its_sigmoid_of_the_gradient_through_each_block(name, bias):
    passed = 1 / (1 + torch.tensor(bias, dtype=torch.float64).exp())
    found = traced(name, {"bias": bias})
    gain = gradient_split.measure(found)[..., gradient_split.COLUMNS.index("gradient_gain")]
    torch.testing.assert_close(gain, passed.expand_as(gain), rtol=0.02, atol=0)
    through_all = found.g[0].norm() / found.g[-1].norm()
    torch.testing.assert_close(through_all, passed**20, rtol=0.05, atol=0)


@pytest.mark.parametrize("init", ["default", "he"])
@pytest.mark.parametrize(
    ("name", "settings", "low", "high"),
    [
        ("gated", {"bias": -1.0}, 0.7310586, 0.7310586),  # 1 - sigmoid(-1)
        ("highway", {"bias": -1.0}, 0.6, 0.9),
        ("rescaled", {"scale": 0.7}, 0.7, 0.7),
    ],
)
def test_blocks_that_carry_a_part_of_their_stream_have_gradients_past_the_branch(name, settings, low, high, init):
    found = traced(name, settings, init)
    later = torch.linalg.vector_norm(found.g[1:], dim=(2, 3)).T
    past = gradient_split.measure(found)[..., gradient_split.COLUMNS.index("identity_norm")] / later
    assert past.min() > low * (1 - 1e-5) and past.max() < high * (1 + 1e-5)
    ratio = branch_ratio.measure(found)
    assert ratio.min() > 0.01 and ratio.max() < 2


def test_a_rescaled_stream_grows_with_weights_of_he_and_fades_with_the_default_ones():
    power = {init: traced("rescaled", {}, init).x.square().mean((1, 2, 3)) for init in ("he", "default")}
    ratio = {init: float(of[-1] / of[0]) for init, of in power.items()}
    assert 500 < ratio["he"] < 2000
    assert 1 / 60 < ratio["default"] < 1 / 15


def test_maps_are_named_by_their_blocks_in_the_order_in_which_they_were_made():
    network = build(described("bottleneck", {}, 2, 8))
    assert [(each.layer, each.name) for each in network.linear_maps()] == [
        (0, "stem"),
        *((layer, f"block_{layer}.{name}") for layer in (1, 2) for name in ("linear", "inner", "out")),
        (3, "head"),
    ]
    maps = build(described("plain", {}, 1, 4)).linear_maps()
    assert [(each.layer, each.name) for each in maps] == [(0, "stem"), (1, "block_1"), (2, "head")]
    trunk = build(described("plain", {}, 2, 4, network="trunk"))
    assert [(each.layer, each.name) for each in trunk.linear_maps()] == [(1, "block_1"), (2, "block_2")]


@every_block
def test_every_linear_map_is_logged(row):
    single, together = build(described(row.block, row.settings, 2, 8)), stacked(row.block, row.settings, 2, 8, seeds=3)
    maps = [part for part in single.modules() if isinstance(part, nn.Linear)]
    assert [each.module for each in single.linear_maps()] == maps
    assert [(each.name, each.weight.shape) for each in together.linear_maps()] == [
        (each.name, (3, *each.weight.shape)) for each in single.linear_maps()
    ]


@pytest.mark.parametrize("init", get_args(Init))
def test_each_initialisation_can_be_drawn_predicted_and_named(init):
    assert init in INITS and variances(init, 4, 8, 8)
    assert "weights" in called(init, "weights")
    page = (ROOT / "gradflow/report/template/explorer.js").read_text(encoding="utf-8")
    [names] = re.findall(r"^const INITS = \{(.*)\};$", page, re.MULTILINE)
    assert re.search(rf"(^|, ) ?{init}: \"", names), "the explorer has no name for it"
