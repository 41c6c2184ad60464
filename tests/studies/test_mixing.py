"""The mixing study: gradients, branches and shares against what autograd finds by other means, and its numbers."""

import math
from inspect import Parameter, signature

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from gradflow.drawing.experiment import Experiment
from gradflow.kit.layers import Kit
from gradflow.kit.mixing import made
from gradflow.moons import training
from studies.mixing import signals, summary
from studies.mixing.figures import accuracy, gradients, shares
from studies.mixing.params import SETTINGS

SEEDS, DEPTH = 2, 4
HYPER = {"rule": "hyper_connections", "streams": 2, "dynamic": True}
ALONE = {"rule": "depth_attention", "form": "alone", "scaled": True}
LABELS = torch.randint(2, (30,), generator=torch.Generator().manual_seed(1))
POINTS = torch.randn(30, 2, generator=torch.Generator().manual_seed(2))


def drawn(mixing=None, block="residual", depth=DEPTH, seeds=SEEDS, **settings):
    about = {"network": "mlp", "block": block, "settings": settings, "widths": None, "mixing": mixing}
    return training.drawn(about | {"depth": depth, "width": 8, "init": "default"}, seeds, 0)


def test_the_settings_of_rules_are_those_of_their_constructors():
    for rule, known in SETTINGS.items():
        blocks = torch.nn.Sequential(*drawn().blocks)
        of_rule = signature(type(made(Kit(), {"rule": rule}, blocks, 8)).__init__).parameters.values()
        assert {one.name for one in of_rule if one.kind is Parameter.KEYWORD_ONLY} == set(known)


@pytest.mark.parametrize("mixing", [None, HYPER, ALONE])
def test_gradients_and_branches_are_those_that_autograd_and_hooks_find(mixing):
    network = drawn(mixing)
    found = signals.passed(network, POINTS, LABELS)
    losses = [cross_entropy(own, LABELS) for own in network(POINTS.expand(SEEDS, -1, -1))]
    sum(losses).backward()
    norms = found.layers.pivot(index="seed", columns="layer", values="weight_grad_norm")
    for number, block in enumerate(network.blocks, start=1):
        assert norms[number].tolist() == pytest.approx(
            block.linear.weight.grad.flatten(1).norm(dim=1).tolist(), rel=1e-5
        )

    several = drawn(block="prototypes")
    found_of_several = signals.passed(several, POINTS, LABELS).layers
    sum(cross_entropy(own, LABELS) for own in several(POINTS.expand(SEEDS, -1, -1))).backward()
    maps = [several.blocks[0].linear, several.blocks[0].prototypes]
    squares = sum(each.weight.grad.flatten(1).square().sum(1) for each in maps)
    of_first = found_of_several[found_of_several["layer"] == 1]["weight_grad_norm"]
    assert of_first.tolist() == pytest.approx(squares.sqrt().tolist(), rel=1e-5)

    outputs = []
    hooks = [block.linear.register_forward_hook(lambda _, __, z: outputs.append(z)) for block in network.blocks]
    network(POINTS.expand(SEEDS, -1, -1))
    assert len(outputs) == DEPTH and len(hooks) == DEPTH
    sizes = found.layers.pivot(index="seed", columns="layer", values="branch")
    expected = torch.stack([torch.relu(z).square().mean((1, 2)).sqrt() for z in outputs], 1)
    np.testing.assert_allclose(sizes.to_numpy(), expected.detach(), rtol=1e-5)


@pytest.mark.parametrize(("floor", "share"), [(True, (1 - 1 / 20) ** 20), (False, 0.0)])
def test_a_floor_keeps_its_share_of_the_gradient_when_all_gates_are_shut(floor, share):
    network = drawn(block="floored", depth=20, floor=floor)
    np.testing.assert_allclose(signals.shut(network, POINTS, LABELS), [share] * SEEDS, atol=1e-4)
    assert signals.floor(network) == pytest.approx(share, abs=1e-12) and math.isnan(signals.floor(drawn()))
    assert network.blocks[0].a.max() == -2.0, "the network itself was changed"
    assert np.isnan(signals.shut(drawn(), POINTS, LABELS)).all()
    assert np.isnan(signals.shut(drawn(block="prototypes"), POINTS, LABELS)).all()


def test_an_open_gate_adds_the_gradient_of_what_it_carries():
    opened = drawn(block="floored", floor=True, bias=0.0)
    for block in opened.blocks:
        block.linear.weight.data.zero_()
        block.linear.bias.data.fill_(-1.0)
    ratio = signals.passed(opened, POINTS, LABELS).stream_ratio
    assert ratio == pytest.approx([(0.75 + 0.25 * 0.5) ** DEPTH] * SEEDS, rel=1e-5)


def test_the_gap_is_that_of_the_farthest_logit_and_there_is_none_without_mixing():
    mixed, without = drawn(ALONE), drawn()
    stacked = POINTS.expand(SEEDS, -1, -1)
    apart = (mixed(stacked) - without(stacked)).detach().abs().flatten(1).max(1).values.tolist()
    assert signals.gap(mixed, without, POINTS) == pytest.approx(apart) and min(apart) > 0
    assert np.isnan(signals.gap(without, without, POINTS)).all()


def test_shares_are_means_over_rows_and_start_alike():
    found = signals.shares(drawn(ALONE), POINTS)
    assert len(found) == SEEDS * sum(range(2, DEPTH + 2))
    assert found["share"].to_numpy() == pytest.approx(1 / (found["layer"] + 1))

    network = drawn(ALONE)
    for query in network.mixing.queries:
        torch.nn.init.normal_(query, generator=torch.Generator().manual_seed(3))
    second = network.mixing.weights(network.blocks, network.stem(POINTS.expand(SEEDS, -1, -1)))[1]
    found = signals.shares(network, POINTS).query("layer == 2")["share"].to_numpy().reshape(SEEDS, 3)
    np.testing.assert_allclose(found, second.detach().mean(1), rtol=1e-5)
    assert second[:, 0].detach().numpy() != pytest.approx(found, rel=1e-3)
    newest = signals.shares(drawn({"rule": "denseformer"}), POINTS).query("source == layer")["share"]
    assert (newest == 1).all() and signals.shares(drawn(HYPER), POINTS).empty


def tables(variant="a", seeds=2):
    of_seeds = pd.DataFrame(
        {"seed": range(seeds), "accuracy": [0.9, 0.8][:seeds], "numbers": 100, "diverged": math.nan}
    )
    of_seeds = of_seeds.assign(logits_gap=math.nan, stream_ratio_start=0.5, stream_ratio_end=[2.0, 4.0][:seeds])
    both = [(seed, layer, moment) for moment in summary.MOMENTS for seed in range(seeds) for layer in (1, 2)]
    layers = pd.DataFrame(both, columns=["seed", "layer", "moment"])
    layers = layers.assign(weight_grad_norm=layers["layer"] * 3.0, branch=layers["layer"] * (layers["seed"] + 1.0))
    of_depth = pd.DataFrame(
        [(s, layer, j, m, [1.0, -3.0, 4.0][j]) for s, layer, m in both for j in range(layer + 1)],
        columns=["seed", "layer", "source", "moment", "share"],
    )
    of_seeds[["stream_ratio_shut", "stream_ratio_shut_predicted"]] = math.nan
    return {"seeds": of_seeds, "layers": layers, "shares": of_depth}


def test_the_numbers_of_a_variant():
    first = tables()["seeds"].assign(accuracy=[0.7, 0.7], numbers=90)
    found = summary.of_variant(**tables(), first=first)
    assert found["accuracy_gain"]["mean"] == pytest.approx(0.15) and found["numbers_added"] == 10
    assert found["weight_span_end"]["mean"] == found["branch_span_start"]["mean"] == 2
    assert found["largest_branch_end"]["mean"] == pytest.approx(2 / 3)
    assert found["input_share_end"]["mean"] == pytest.approx((1 / 4 + 1 / 8) / 2)
    assert found["older_share_end"]["mean"] == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert [each["mean"] for each in found["input_share_by_block_end"]] == pytest.approx([1 / 4, 1 / 8])
    assert [each["mean"] for each in found["weight_grad_norm_start"]] == [3, 6]
    assert found["stream_ratio_end"]["mean"] == 3 and not {"logits_gap", "stream_ratio_shut"} & set(found)


def test_a_seed_that_diverged_counts_before_training_alone():
    own = tables()
    own["seeds"].loc[1, "diverged"] = 3.0
    own["layers"] = own["layers"].query("moment == 'start' or seed == 0")
    found = summary.of_variant(**own, first=tables()["seeds"])
    assert found["accuracy"]["seeds"] == found["weight_span_end"]["seeds"] == found["stream_ratio_end"]["seeds"] == 1
    assert found["weight_span_start"]["seeds"] == found["stream_ratio_start"]["seeds"] == 2


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(seeds):
    experiment = Experiment(
        {"a": 2, "lost": 2}, seeds, 3, {"a": {}, "lost": dict.fromkeys(range(seeds), 2)}, "a caption"
    )
    own = {name: table.assign(variant="a") for name, table in tables(seeds=seeds).items()}
    nothing = own["shares"].iloc[:0]
    drawn_figures = [
        accuracy.draw(own["seeds"], own["layers"], experiment),
        gradients.draw(own["layers"], experiment),
        shares.draw(own["shares"], experiment),
        shares.draw(nothing, experiment),
    ]
    for figure in drawn_figures:
        figure.draw_without_rendering()
        assert "a caption" in figure.get_supxlabel() and ("One seed." in figure.get_supxlabel()) == (seeds == 1)
