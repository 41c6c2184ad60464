"""The study of shares: trainings, runs and growth against networks and tables made by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from gradflow.drawing.experiment import Experiment
from gradflow.moons import training
from gradflow.moons.stochastic import StochasticDepth
from gradflow.params.loading import load
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from studies.shares import growth, plot, runs, summary
from studies.shares.figures import growth as growth_figure
from studies.shares.figures import trained
from studies.shares.params import AnyTrained, Growth, Params, Trained

DEPTH, WIDTH, SEEDS, ROWS = 4, 16, 2, 20


def network():
    about = {"network": "mlp", "block": "linear_terminated", "settings": {"scale": 0.7}, "widths": None}
    return training.drawn(about | {"depth": DEPTH, "width": WIDTH, "init": "xavier"}, SEEDS, 0)


def points(count=ROWS):
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(0))


LABELS = (points()[:, 0] > 0).long()


@pytest.mark.parametrize(("given", "weight"), [(1.0, 1.0), (None, 4.0)])
def test_a_step_shows_each_branch_the_rows_that_were_drawn_for_it(given, weight):
    task = Rows((points(), LABELS), (points(), LABELS), epochs=1, batch_size=16, seed=0, probe_rows=1, probe_every=9)
    descent = Descent("sgd", 0.1, 0.9, 1.0)
    step = StochasticDepth(network(), task, descent, survival=0.25, seed=0, each_row=True, weight=given)
    assert step.factors.shape == (2, DEPTH, SEEDS, 16) and set(step.factors.unique().tolist()) == {0.0, weight}
    for number, batch in enumerate(next(iter(task.batches(1)))):  # of 16 rows and of 4
        at, labels = task.pick(batch)
        net, expected = network(), []
        net.load_state_dict(step.network.state_dict())
        for seed in range(SEEDS):
            losses = []
            for row in range(len(batch)):
                x = net.stem(at[row].expand(SEEDS, 1, -1))
                for block_number, block in enumerate(net.blocks):
                    x = x + step.factors[number, block_number, seed, row] * (block(x) - x)
                losses.append(torch.nn.functional.cross_entropy(net.head(x)[seed], labels[row : row + 1]).item())
            expected.append(np.mean(losses))
        step.loss_sum.zero_()
        step(batch)
        assert (step.loss_sum / len(batch)).tolist() == pytest.approx(expected, rel=1e-5)


def run(net, share, weight, count=ROWS):
    return runs.run(net, points(count), (points(count)[:, 0] > 0).long(), share, weight, "xavier", 0)


def test_a_run_at_the_whole_is_the_network_and_at_next_to_nothing_the_stream_alone():
    net = network()
    found = run(net, 1.0, 1.0)
    right = (net(training.stacked(points(), net)).argmax(2) == LABELS).double().mean(1)
    assert found["accuracy"].tolist() == right.tolist()
    first = net.stem(training.stacked(points(), net))
    grown = net.through(first).norm(dim=(1, 2)) / first.norm(dim=(1, 2))
    assert found["stream"].tolist() == pytest.approx(grown.tolist())
    without = run(net, 1e-12, 1.0)
    assert without["stream"].tolist() == [1.0] * SEEDS and without["gradient"].tolist() == pytest.approx([1.0] * SEEDS)


def test_a_run_at_a_share_grows_by_its_law():
    about = {"network": "mlp", "block": "linear_terminated", "settings": {"scale": 2**0.5 / 3}, "widths": None}
    net = training.drawn(about | {"depth": 9, "width": 64, "init": "xavier"}, 40, 0)
    for share, weight in ((0.5, 1.0), (0.5, 2.0)):
        found = run(net, share, weight, 100)
        law = (1 + share * weight**2 / 9) ** 4.5
        assert found["law"].unique() == pytest.approx([law])
        for column in ("stream", "gradient"):
            assert found[column].mean() == pytest.approx(law, rel=0.05), (share, weight, column)


def test_theory_has_no_line_for_experts():
    about = {"network": "mlp", "block": "experts", "settings": {}, "widths": None}
    net = training.drawn(about | {"depth": DEPTH, "width": WIDTH, "init": "xavier"}, SEEDS, 0)
    assert run(net, 1.0, 1.0)["law"].isna().all()


def test_growth_is_that_of_the_law():
    config = Growth(depths=[10], width=64, scale=2**0.5, exponents=[0.5], shares=[0.5, 1.0], rows=64, seeds=4, seed=0)
    found = pd.concat(growth.measured(config, 10, 0.5)).set_index(["kind", "share"])
    per_block = {
        ("as it is", 0.5): 1 + 0.5 / 10,
        ("as it is", 1.0): 1 + 1 / 10,
        ("mean kept", 0.5): 1 + 0.5 * 4 / 10,
        ("power kept", 0.5): 1 + 1 / 10,
        ("two experts", 0.5): 1 + 1 / 10,
        ("two experts", 1.0): 1 + 1 / 10,
    }
    assert {*found.index} == {*per_block, ("experts by softmax", 1.0)}
    for setting, factor in per_block.items():
        own = found.loc[setting]
        assert own["law"].unique() == pytest.approx([factor**5])
        assert own["limit"].unique() == pytest.approx([np.exp(10 / 2 * (factor - 1))])
        assert own["drawn"].to_numpy() == pytest.approx(own["law"].to_numpy(), rel=0.05)
        for column in ("stream", "gradient"):
            assert own[column].mean() == pytest.approx(factor**5, rel=0.06), (setting, column)
    routed = found.loc[("experts by softmax", 1.0)]
    assert routed["law"].isna().all()
    assert routed["stream"].to_numpy() == pytest.approx(routed["drawn"].to_numpy(), rel=0.1)
    assert (1 + 1 / 40) ** 5 < routed["drawn"].mean() < (1 + 1 / 10) ** 5  # of probabilities from 1/2 to 1


def table(seeds=SEEDS):
    """Of networks that were trained at 1/2; with the mean kept, a tenth less is right."""
    return pd.DataFrame(
        [
            {"variant": variant, "seed": seed, "moment": moment, "share": share, "kept": kept, "law": 1.5}
            | {"accuracy": 0.5 + share / 4 + seed / 100 - (0.1 if kept == "mean" else 0)}
            | {"stream": 2.0, "gradient": 3.0 if moment == "end" else 4.0}
            for variant in ("a", "b")
            for moment in ("start", "end")
            for share in (0.5, 1.0)
            for kept in ("weight", "mean")
            for seed in range(seeds)
        ]
    )


def test_the_numbers_of_a_variant():
    chosen = Trained(block="linear_terminated", init="xavier", share=0.5, keeps="nothing")
    of_a = table()[lambda rows: (rows["variant"] == "a") & ((rows["moment"] == "start") | (rows["seed"] == 1))]
    found = summary.of_variant(of_a, chosen, SEEDS)  # seed 0 has diverged
    assert found["accuracy"] == {"mean": 0.635, "std": 0.0, "min": 0.635, "max": 0.635, "seeds": 1}
    assert found["at_100_lost"]["mean"] == pytest.approx(-0.125) and found["at_50_lost"]["mean"] == 0
    assert found["mean_at_100_lost"]["mean"] == pytest.approx(-0.025)
    assert found["gradient_start"]["mean"] == 4 and found["gradient_start"]["seeds"] == 2
    assert found["gradient_end"]["mean"] == 3 and found["gradient_change"]["mean"] == 0.75
    assert found["at_100_gradient_over_law"]["mean"] == 2 and found["seeds"] == SEEDS


def test_the_numbers_of_growth():
    grown = pd.DataFrame(
        {"kind": "as it is", "share": 0.25, "depth": 20, "exponent": 0.5, "seed": [0, 1]}
        | {"stream": [2.0, 4.0], "gradient": [9.0, 9.0], "law": 3.0, "drawn": [2.0, 2.0], "limit": 4.5}
    )
    found = summary.of_growth(grown)["as_it_is_25_depth_20_exponent_0_5"]
    assert found["stream_over_drawn"]["mean"] == 1.5 and found["law"] == 3.0 and found["seeds"] == 2
    assert found["gradient_log_over_law"]["mean"] == pytest.approx(2) and found["gradient_over_limit"]["mean"] == 2
    without = summary.of_growth(grown.assign(law=np.nan, limit=np.nan, exponent=1.0))
    assert without["as_it_is_25_depth_20_exponent_1"]["law"] is None


def test_ways_to_train_are_told_apart_by_all_that_differs_but_the_exponent():
    given = {"init": "xavier", "share": 1.0, "keeps": "nothing"}
    block = {"block": "linear_terminated", "scale": 1.0}
    variants = {
        "first": given | block | {"exponent": 0.0},
        "second": given | block | {"exponent": 0.5},
        "half": given | block | {"exponent": 0.0, "share": 0.5, "keeps": "mean"},
        "scaled": given | block | {"exponent": 0.0, "scale": 0.5},
        "experts": given | block | {"exponent": 0.0, "block": "experts"},
    }
    of_a_block = TypeAdapter(AnyTrained)
    config = Params.model_construct(variants={name: of_a_block.validate_python(own) for name, own in variants.items()})
    assert list(plot.of_training(config).values()) == [
        "share 1", "share 1", "share 0.5, mean kept", "share 1, scale 0.5", "share 1, experts",
    ]  # fmt: skip


def test_a_seed_that_diverged_is_told_with_its_exponent():
    config = load(Params, Path(__file__).parents[2] / "studies/shares/params.yaml")
    seeds = pd.DataFrame({"variant": ["a0_half", "a0_half", "a05_half", "a05_half"], "seed": [0, 3, 0, 1]})
    seeds["diverged"] = [3.0, 5.0, np.nan, np.nan]
    exponents = {name: chosen.settings()["exponent"] for name, chosen in config.variants.items()}
    found = plot.of_ways(config, seeds, plot.of_training(config), exponents)
    assert found.label("share 0.5") == "share 0.5 (diverged: 2 of 4 seeds at exponent 0)"
    assert found.label("share 1") == "share 1"


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(seeds):
    experiment = Experiment({"a": DEPTH, "b": DEPTH}, seeds, 3, {"a": {}, "b": {0: 2}}, "a caption")
    kinds = summary.GROWTH["kind"].words
    of_kinds = Experiment(dict.fromkeys(kinds, 20), seeds, 1, {kind: {} for kind in kinds}, "a caption")
    grown = pd.DataFrame(
        [
            {"kind": "as it is", "share": share, "depth": 20, "exponent": 0.5, "seed": seed}
            | {"stream": 2.0, "gradient": 2.0, "law": 2.0, "drawn": 2.0, "limit": 3.0}
            for share in (0.5, 1.0)
            for seed in range(seeds)
        ]
    )
    lost = table(seeds)[lambda rows: (rows["variant"] == "a") | (rows["moment"] == "start")]
    for figure in (
        trained.draw(table(seeds).assign(exponent=0.5), [0.5], experiment),
        trained.draw(lost.assign(exponent=0.0), [0.0, 0.5], experiment),
        growth_figure.draw(grown, of_kinds),
    ):
        figure.draw_without_rendering()
        assert ("One seed." in figure.get_supxlabel()) == (seeds == 1)
