"""What the overflow study measures: streams beside theory, and the factors on weights that a precision bears."""

import math

import pandas as pd
import pytest
import torch

from gradflow.drawing.experiment import Experiment
from gradflow.kit.building import build
from studies.overflow import scaling, signals, summary
from studies.overflow.figures import placement
from studies.overflow.params import Params

HALF = {"scale": 0.5**0.5, "init": "he"}
VARIANTS = {
    "none": {"block": "linear_terminated", **HALF},
    "post": {"block": "postnorm", **HALF},
    "pre": {"block": "prenorm", **HALF},
    "peri": {"block": "perinorm", "init": "he"},
}


def params(**changes):
    document = {
        "depths": [3],
        "width": 8,
        "seeds": 3,
        "seed": 0,
        "variants": VARIANTS,
        "inputs": {"rows": 4, "seed": 0},
        "overflow": {"precisions": ["float16"], "decades": 40.0, "step": 0.25},
    }
    return Params.model_validate(document | changes)


@pytest.mark.parametrize(
    ("variant", "power"), [("none", 2.0**16), ("post", 1.0), ("pre", 17.0), ("peri", 17.0)], ids=VARIANTS
)
def test_stream_and_gradient_grow_as_theory_says(variant, power):
    """Branches of power 1 on a stream of power 1: it doubles with each block, stays, or grows by 1."""
    config = params(depths=[16], width=128, seeds=8, inputs={"rows": 32, "seed": 0})
    found = signals.by_depth(config, config.variants[variant])
    assert found["variance_theory"].iloc[0] == pytest.approx(power, rel=1e-12)
    assert found["gradient_ratio_theory"].iloc[0] == pytest.approx(math.sqrt(power), rel=1e-12)
    assert found["variance"].mean() == pytest.approx(power, rel=0.35 if variant == "none" else 0.1)
    assert (found["gradient_ratio"] ** 2).mean() == pytest.approx(power, rel=0.5)


def test_theory_takes_the_settings_of_a_block_and_is_silent_on_what_it_does_not_know():
    def predicted(**variant):
        config = params(depths=[4], variants={"a": variant})
        return signals.by_depth(config, config.variants["a"])["variance_theory"].iloc[0]

    assert predicted(block="prenorm", init="he", scale=1.0, exponent=0.5) == pytest.approx(1 + 2 / 4 * 4)
    assert predicted(block="perinorm", init="he", scale=2.0) == pytest.approx(1 + 4 * 4)
    assert math.isnan(predicted(block="prenorm", init="default")), "biases"
    assert math.isnan(predicted(block="rezero", init="he"))


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_factor_found_is_the_first_that_an_ordinary_network_does_not_bear(variant, precision):
    """Each seed by itself, of torch.nn's layers. In bfloat16 norms give 0, silently, where their variance overflows."""
    config = params(overflow={"precisions": [precision], "decades": 40.0, "step": 0.5})
    start = config.variants[variant]
    found = scaling.by_precision(config, start)
    scaled = scaling.Scaled(config, start)
    described = {"network": "mlp", "block": start.block, "settings": start.settings(), "widths": None}
    network = build(described | {"depth": 3, "width": 8})

    def bears(seed, decades):
        network.load_state_dict({name: value[seed] for name, value in scaled.network.state_dict().items()})
        network.zero_grad()
        with torch.no_grad():
            for block in network.blocks:
                block.linear.weight.mul_(10.0**decades)
        with torch.autocast("cpu", getattr(torch, precision)):
            logits = network(scaled.points).float()
        torch.nn.functional.cross_entropy(logits, scaled.labels).backward()
        finite = all(torch.isfinite(each).all() for each in (logits, *(p.grad for p in network.parameters())))
        return finite and all(block.linear.weight.grad.any() for block in network.blocks)

    for seed, first in enumerate(found[["overflow", "zero_gradient"]].min(axis=1)):
        assert [bears(seed, first - 0.5), bears(seed, first + 0.5)] == [True, False]


def test_a_norm_behind_the_branch_leaves_float16_more_room_than_one_before_it_in_a_deep_network():
    config = params(depths=[32], width=16, overflow={"precisions": ["float16"], "decades": 6.0, "step": 0.1})
    overflow = {name: scaling.by_precision(config, start)["overflow"].mean() for name, start in config.variants.items()}
    assert overflow["none"] < 1 < overflow["pre"] < overflow["peri"] < 5


def test_what_never_overflows_and_where_gradients_are_0_before_that(monkeypatch):
    def passes(self, steps, precision):
        overflow = (steps >= torch.tensor([5, 99, 0])) & (precision == "float16")
        return scaling.Passes(overflow, overflow.long() * 2, steps >= torch.tensor([3, 4, 0]))

    monkeypatch.setattr(scaling.Scaled, "passes", passes)
    config = params(overflow={"precisions": ["float32", "float16"], "decades": 10.0, "step": 1.0})
    found = scaling.by_precision(config, config.variants["pre"])
    expected = {
        "overflow": [math.nan] * 3 + [5, math.nan, 0],
        "block": [math.nan] * 3 + [2, math.nan, 2],
        "zero_gradient": [3, 4, 0, 3, 4, math.nan],
    }
    pd.testing.assert_frame_equal(found[[*expected]], pd.DataFrame(expected, dtype=float))

    numbers = summary.summary(signals.by_depth(config, config.variants["pre"]), found)
    assert numbers["overflow_factor_float32"]["seeds"] == 0 and numbers["seeds"] == 3
    assert numbers["overflow_factor_float16"] | {"std": 0} == {
        **{"mean": 50_000.5, "min": 1, "max": 100_000, "seeds": 2},
        "std": 0,
    }
    assert numbers["zero_gradient_factor_float16"]["max"] == 10_000
    assert numbers["variance_depth_3_predicted"] == pytest.approx(4)


def test_the_block_is_the_first_one_in_the_order_of_the_passes():
    config = params(depths=[4])
    scaled = scaling.Scaled(config, config.variants["post"])
    with torch.no_grad():
        scaled.network.blocks[1].out.bias[0] = 1e9  # of seed 0, ahead of what the factor does
    steps = torch.tensor([0, 0, 8 * 4])  # 10^8: no weight of seed 2 is finite any more
    found = scaled.passes(steps, "float16")
    assert found.block.tolist() == [2, 0, 1]
    assert found.overflow.tolist() == [True, False, True]


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_figure_shows_what_there_is(seeds):
    config = params(depths=[1, 2], seeds=seeds, overflow={"precisions": ["float16"], "decades": 6.0, "step": 1.0})
    starts = config.variants.items()
    by_depth, by_precision = (
        pd.concat({name: table(config, start) for name, start in starts}, names=["variant"]).reset_index("variant")
        for table in (signals.by_depth, scaling.by_precision)
    )
    experiment = Experiment(dict.fromkeys(VARIANTS, 2), seeds, 0, {name: {} for name in VARIANTS}, "a caption")

    def texts(depths, scaled):
        figure = placement.draw(depths, scaled, 40.0, experiment)
        figure.draw_without_rendering()
        return " ".join([figure.get_supxlabel(), *(text.get_text() for axes in figure.axes for text in axes.texts)])

    said = texts(by_depth, by_precision).replace("\n", " ")
    assert "block" in said and "nothing overflows" not in said
    assert ("One seed." in said) == (seeds == 1)

    lost = by_depth["variant"] == "none"
    by_depth.loc[lost, ["variance", "gradient_ratio", "gradient_span"]] = math.nan
    by_precision[["overflow", "block", "zero_gradient"]] = math.nan
    assert "nothing overflows up to 10^40" in texts(by_depth, by_precision).replace("\n", " ")
