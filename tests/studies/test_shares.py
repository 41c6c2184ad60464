"""The study of shares: trainings, runs and growth against networks and tables made by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from gradflow.drawing.experiment import Experiment
from gradflow.moons import training
from gradflow.moons.stochastic import StochasticDepth
from gradflow.training.optimisers import Descent
from gradflow.training.rows import Rows
from studies.shares import growth, plot, runs, summary
from studies.shares.figures import growth as growth_figure
from studies.shares.figures import trained
from studies.shares.params import AnyTrained, Growth, Params, Trained
from studies.shares.size import size

DEPTH, WIDTH, SEEDS, ROWS = 4, 16, 2, 20


def network():
    about = {"network": "mlp", "block": "linear_terminated", "settings": {"scale": 0.7}, "widths": None}
    return training.drawn(about | {"depth": DEPTH, "width": WIDTH, "init": "xavier"}, SEEDS, 0)


def points(count=ROWS):
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(0))


LABELS = (points()[:, 0] > 0).long()


@pytest.mark.parametrize(("rescaled", "weight"), [(False, 1.0), (True, 4.0)])
def test_a_step_shows_each_branch_the_rows_that_were_drawn_for_it(rescaled, weight):
    task = Rows((points(), LABELS), (points(), LABELS), epochs=1, batch_size=16, seed=0, probe_rows=1, probe_every=9)
    descent = Descent("sgd", 0.1, 0.9, 1.0)
    step = StochasticDepth(network(), task, descent, survival=0.25, seed=0, each_row=True, rescaled=rescaled)
    assert step.factors.shape == (2, DEPTH, SEEDS, 16) and set(step.factors.unique().tolist()) == {0.0, weight}
    first, second = next(iter(task.batches(1)))
    at, labels = task.pick(first)
    net, expected = network(), []
    for seed in range(SEEDS):
        losses = []
        for row in range(len(first)):
            x = net.stem(at[row].expand(SEEDS, 1, -1))
            for number, block in enumerate(net.blocks):
                x = x + step.factors[0, number, seed, row] * (block(x) - x)
            losses.append(torch.nn.functional.cross_entropy(net.head(x)[seed], labels[row : row + 1]).item())
        expected.append(np.mean(losses))
    step(first)
    assert (step.loss_sum / len(first)).tolist() == pytest.approx(expected, rel=1e-5)
    step(second)  # of 4 rows


def test_a_run_at_the_whole_is_the_network_and_at_next_to_nothing_the_stream_alone():
    net = network()
    found = runs.run(net, points(), LABELS, 1.0, 1.0, 0)
    right = (net(training.stacked(points(), net)).argmax(2) == LABELS).double().mean(1)
    assert found["accuracy"].tolist() == right.tolist()
    first = net.stem(training.stacked(points(), net))
    assert found["stream"].tolist() == pytest.approx((size(net.through(first)) / size(first)).tolist())
    without = runs.run(net, points(), LABELS, 1e-12, 1.0, 0)
    assert without["stream"].tolist() == [1.0] * SEEDS and without["gradient"].tolist() == pytest.approx([1.0] * SEEDS)


def test_a_run_at_a_share_grows_by_its_law():
    """Over 40 networks of one stem."""
    about = {"network": "mlp", "block": "linear_terminated", "settings": {"scale": 2**0.5 / 3}, "widths": None}
    net = training.drawn(about | {"depth": 9, "width": 64, "init": "xavier"}, 40, 0)
    for share, weight in ((0.5, 1.0), (0.5, 2.0)):
        found = runs.run(net, points(100), points(100)[:, 0].long(), share, weight, 0)
        law = (1 + share * weight**2 / 9) ** 4.5
        for column in ("stream", "gradient"):
            assert found[column].mean() == pytest.approx(law, rel=0.05), (share, weight, column)


def test_growth_is_that_of_the_law():
    config = Growth(depths=[10], width=64, scale=2**0.5, exponents=[0.5], shares=[0.5], rows=64, seeds=4, seed=0)
    experts = growth._experts(config, 10, 0.5)
    for kind, weight, chosen, per_block in (
        ("as it is", 1.0, experts[:1], 1 + 0.5 / 10),
        ("rescaled", 2.0, experts[:1], 1 + 0.5 * 4 / 10),
        ("experts", 1.0, experts, 1 + 1 / 10),
        ("weighted experts", 0.5, experts, 1 + 0.25 / 10),
    ):
        setting = {"kind": kind, "share": 0.5, "depth": 10, "exponent": 0.5}
        found = growth._measure(config, chosen, setting, weight)
        assert found["law"].unique() == pytest.approx([per_block**5])
        assert found["drawn"].to_numpy() == pytest.approx(found["law"].to_numpy(), rel=0.05)
        for column in ("stream", "gradient"):
            assert found[column].mean() == pytest.approx(per_block**5, rel=0.06), (kind, column)


def table(seeds=SEEDS):
    return pd.DataFrame(
        [
            {
                "variant": variant,
                "seed": seed,
                "moment": moment,
                "share": share,
                "accuracy": 0.5 + share / 4 + seed / 100,
            }
            | {"stream": 2.0, "gradient": 3.0 if moment == "end" else 4.0}
            for variant in ("a", "b")
            for moment in ("start", "end")
            for share in (0.5, 1.0)
            for seed in range(seeds)
        ]
    )


def test_the_numbers_of_a_variant_and_of_growth():
    chosen = Trained(block="linear_terminated", init="xavier", share=0.5, rescaled=False)
    of_a = table()[lambda rows: (rows["variant"] == "a") & ((rows["moment"] == "start") | (rows["seed"] == 1))]
    found = summary.of_variant(of_a, chosen, SEEDS)  # seed 0 has diverged
    assert found["accuracy"] == {"mean": 0.635, "std": 0.0, "min": 0.635, "max": 0.635, "seeds": 1}
    assert found["at_100_lost"]["mean"] == pytest.approx(-0.125) and found["at_50_lost"]["mean"] == 0
    assert found["gradient_start"]["mean"] == 4 and found["gradient_start"]["seeds"] == 2
    assert found["gradient_end"]["mean"] == 3 and found["at_100_gradient"]["mean"] == 3 and found["seeds"] == SEEDS
    grown = pd.DataFrame(
        {"kind": "as it is", "share": 0.25, "depth": 20, "exponent": 0.5, "seed": [0, 1]}
        | {"stream": [2.0, 4.0], "gradient": [3.0, 3.0], "law": 3.0, "drawn": [2.0, 2.0]}
    )
    found = summary.of_growth(grown)["as_it_is_25_depth_20_exponent_0_5"]
    assert found["stream_over_drawn"]["mean"] == 1.5 and found["law"] == 3.0 and found["seeds"] == 2


def test_ways_to_train_are_told_apart_by_all_that_differs_but_the_exponent():
    given = {"init": "xavier", "share": 1.0, "rescaled": False}
    block = {"block": "linear_terminated", "scale": 1.0}
    variants = {
        "first": given | block | {"exponent": 0.0},
        "second": given | block | {"exponent": 0.5},
        "half": given | block | {"exponent": 0.0, "share": 0.5, "rescaled": True},
        "scaled": given | block | {"exponent": 0.0, "scale": 0.5},
        "experts": given | block | {"exponent": 0.0, "block": "experts"},
    }
    of_a_block = TypeAdapter(AnyTrained)
    config = Params.model_construct(variants={name: of_a_block.validate_python(own) for name, own in variants.items()})
    assert list(plot.of_training(config).values()) == [
        "share 1", "share 1", "share 0.5, rescaled", "share 1, scale 0.5", "share 1, experts",
    ]  # fmt: skip


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(seeds):
    experiment = Experiment({"a": DEPTH, "b": DEPTH}, seeds, 3, {"a": {}, "b": {0: 2}}, "a caption")
    kinds = summary.GROWTH["kind"].words
    of_kinds = Experiment(dict.fromkeys(kinds, 20), seeds, 1, {kind: {} for kind in kinds}, "a caption")
    grown = pd.DataFrame(
        [
            {"kind": "as it is", "share": share, "depth": 20, "exponent": 0.5, "seed": seed}
            | {"stream": 2.0, "gradient": 2.0, "law": 2.0, "drawn": 2.0}
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
