"""What the studies' results in git show; that they are those of the code in git: tests/test_results_in_git.py."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

CHECKOUT = Path(__file__).parents[2]


def report(name):
    return json.loads((CHECKOUT / "studies" / name / "reports" / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def identity():
    return report("identity")


@pytest.fixture(scope="module")
def initialisation():
    return report("initialisation")


@pytest.fixture(scope="module")
def scaling():
    return report("scaling")


def test_the_picture_in_readme_shows_the_page_of_these_results():
    lock = yaml.safe_load((CHECKOUT / "studies/ledger/dvc.lock").read_text(encoding="utf-8"))
    [page] = [out["md5"] for out in lock["stages"]["page"]["outs"] if out["path"].endswith("reports/index.html")]
    with Image.open(CHECKOUT / "docs/report.png") as picture:
        assert picture.info.get("page") == page, "the page has changed since: run `make picture`"


def test_the_plain_network_learns_nothing(identity):
    plain = identity["plain"]
    assert plain["loss_end"]["seeds"] >= 8 and plain["diverged"] == []
    assert 0.31 < plain["loss_end"]["min"] <= plain["loss_end"]["max"] < 0.35
    assert plain["delta_norm_end"][0]["max"] < 1e-12


def test_at_the_start_of_the_plain_network_delta_vanishes_and_the_gradients_of_the_weights_are_equally_small(identity):
    plain = identity["plain"]
    assert plain["delta_norm_start"][19]["mean"] == pytest.approx(1.8e-2, rel=0.5)
    assert plain["delta_norm_start"][0]["mean"] == pytest.approx(9e-15, rel=0.7)
    assert all(1e-15 < layer["mean"] < 1e-13 for layer in plain["weight_grad_norm_start"])


def test_the_residual_network_learns_it(identity):
    residual = identity["residual"]
    assert 10 < residual["loss_start"]["min"] <= residual["loss_start"]["max"] < 25
    assert 0.05 < residual["loss_end"]["min"] <= residual["loss_end"]["max"] < 0.08
    assert len(residual["delta_norm_end"]) == len(residual["z_std_end"]) == 20
    assert all(1e-4 < layer["min"] <= layer["max"] < 1e-1 for layer in residual["delta_norm_end"])
    assert all(0.10 < layer["min"] <= layer["max"] < 0.25 for layer in residual["z_std_end"])
    assert all(layer["min"] > 0.5 for layer in residual["x_std_end"])  # no spread of the stream is 0.13 to 0.18


def test_healthy_norms_do_not_let_the_plain_network_learn_it(identity):
    plain = identity["plain_he"]
    assert plain["loss_end"]["min"] > 0.30
    for moment in ("start", "end"):
        assert plain[f"weight_grad_norm_range_{moment}"][0] > 1e-3
        assert plain[f"delta_norm_range_{moment}"][0] > 1e-3


def test_the_zero_start_is_exact(identity):
    assert identity["zero_start"]["loss_start"]["max"] == 0
    assert identity["zero_start"]["gradient_gain_start"][0]["seeds"] == 0  # a loss of 0 sends nothing back


def test_the_stream_is_the_sum_of_what_the_blocks_add(identity):
    for moment in ("start", "end"):
        assert identity["residual"][f"telescoping_error_range_{moment}"][1] < 1e-5
        shares = [layer["mean"] for layer in identity["residual"][f"contribution_share_{moment}"]]
        assert sum(shares) == pytest.approx(1, rel=1e-5)


def test_a_skip_does_not_keep_the_factor_of_a_block_at_one_or_above(identity):
    assert identity["residual"]["gradient_gain_range_end"][0] < 0.99
    assert identity["residual"]["split_cosine_range_end"][1] < 0  # every branch, in every seed, works against the skip


@pytest.mark.parametrize(
    ("variant", "published"),
    [("residual_he", 9.27e8), ("residual_he_over_sqrt_depth", 48.4), ("residual_default", 217)],
)
def test_power_grows_as_predicted(initialisation, variant, published):
    numbers = initialisation[variant]
    assert numbers["power_ratio"]["seeds"] >= 20
    assert numbers["power_ratio"]["mean"] == pytest.approx(numbers["power_ratio_predicted"], rel=0.15)
    assert numbers["power_ratio"]["mean"] == pytest.approx(published, rel=0.15)


@pytest.mark.parametrize(
    ("variant", "factor"),
    [("plain_he", 1.0), ("plain_he_over_sqrt_depth", 0.2236), ("plain_default", 0.408)],
)
def test_plain_networks_lose_the_predicted_factor_per_layer(initialisation, variant, factor):
    numbers = initialisation[variant]
    for name in ("gradient_factor", "delta_factor"):
        assert numbers[f"{name}_predicted"] == pytest.approx(factor, rel=1e-3)
        assert numbers[name] == pytest.approx(factor, rel=0.02)
    if variant != "plain_default":  # there biases hold the stream up
        assert numbers["stream_factor"] == pytest.approx(factor, rel=0.02)
        assert numbers["weight_grad_flatness"] < 1.5
        assert 0.5 < numbers["log_power_variance"] / numbers["log_power_variance_predicted"] < 1.5


def test_default_biases_make_the_gradients_of_the_weights_fall(initialisation):
    numbers = initialisation["plain_default"]
    assert numbers["weight_grad_first_over_last_predicted"] == pytest.approx(4e-7, rel=0.1)
    assert numbers["weight_grad_first_over_last"]["mean"] == pytest.approx(4e-7, rel=0.2)


def test_inputs_collapse_in_plain_networks_along_the_cosine_map(initialisation):
    numbers = initialisation["plain_he"]
    for layer, expected in ((1, 0.318), (5, 0.736), (10, 0.872), (20, 0.948)):
        assert numbers["cosine_predicted"][layer - 1] == pytest.approx(expected, abs=5e-4)
        assert numbers["cosine"][layer - 1]["mean"] == pytest.approx(expected, abs=0.02)


def test_a_branch_that_ends_in_a_linear_map_grows_by_one_factor_in_both_directions(initialisation):
    numbers = initialisation["linear_terminated_he"]
    for name in ("stream_factor", "gradient_factor"):
        assert numbers[f"{name}_predicted"] == pytest.approx(1.1**0.5, rel=1e-3)
        assert numbers[name] == pytest.approx(1.1**0.5, rel=0.005)


def test_gradients_shatter_most_in_the_plain_network(initialisation):
    plain, residual = (
        initialisation[name]["correlation_lag_1"] for name in ("plain_he", "residual_he_over_sqrt_depth")
    )
    assert plain["max"] < residual["min"]


def test_only_without_scaling_the_first_steps_move_a_deep_stream_farther(scaling):
    move = {name: scaling[name]["rms_change_ratio"] for name in ("zero", "zero_slowed", "half", "one")}
    assert all(spread["seeds"] >= 3 for spread in move.values())
    assert move["zero"]["min"] > 8
    assert 0.7 < move["half"]["min"] <= move["half"]["max"] < 1.6
    assert move["one"]["max"] < 1
    assert move["zero_slowed"]["max"] < 4, "a smaller learning rate does it too"


def test_a_multiplier_of_one_loses_in_deep_networks(scaling):
    assert scaling["zero"]["loss_ratio"]["min"] > 1.05
    assert scaling["one"]["loss_ratio"]["max"] < 1
    for name in ("half_64", "one_64"):
        assert scaling[name]["lowest_loss"]["max"] < scaling["zero_64"]["lowest_loss"]["min"]


def test_at_the_base_depth_all_variants_of_scaling_have_one_result(scaling):
    assert scaling["zero_2"] == scaling["zero_slowed_2"] == scaling["half_2"] == scaling["one_2"]
