"""Measured signals at initialisation against the theory lines of the figures."""

from functools import cache, partial
from typing import get_args

import numpy as np
import pytest
import torch

from gradflow import theory
from gradflow.instruments import trace
from gradflow.kit import block
from gradflow.kit.block import Place
from gradflow.kit.building import build
from gradflow.kit.inits import INITS, stack
from gradflow.kit.layers import Kit
from gradflow.params.sections import Init
from gradflow.training.probe import COLUMNS, probe
from studies.initialisation import signals
from studies.initialisation.params import Params
from tests.blocks import every_block


@cache
def probed(init, seeds=300, depth=20, width=64):
    """The probe of a plain network at initialisation, (seeds, depth, columns)."""
    described = {"network": "mlp", "block": "plain", "settings": {}, "depth": depth, "width": width, "widths": None}
    network = stack(partial(build, described), seeds=seeds, init=init, seed=0)
    points = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    return probe(network, points, (points[:, 0] > 0).long(), cross_entropies).numpy()


def cross_entropies(logits, labels):
    """The loss of each seed."""
    return torch.stack([torch.nn.functional.cross_entropy(own, labels) for own in logits])


STEM = theory.variances("default", 20, 2, 64)


def plain(init, depth=20, width=64):
    """A plain block at its start."""
    return theory.Branch.drawn(init, depth, width, skip=False)


@pytest.mark.parametrize("init", get_args(Init))
def test_theory_knows_the_variances_that_an_initialisation_draws(init):
    described = {"network": "mlp", "block": "linear_terminated", "settings": {}, "depth": 8, "width": 64}
    network = stack(partial(build, described | {"widths": None}), seeds=200, init=init, seed=0)
    maps = {name: [] for name in ("stem", "linear", "out", "head")}
    for each in network.linear_maps():
        maps[each.name.rpartition(".")[2]].append(each.module)
    for name, own in maps.items():
        _, outputs, inputs = own[0].get_parameter("weight").shape
        measured = [
            inputs * float(torch.stack([one.get_parameter(part).detach() for one in own]).square().mean())
            for part in ("weight", "bias")
        ]
        expected = theory.variances(init, 8, inputs, outputs, writes=name == "out")
        assert measured == pytest.approx(expected, rel=0.2), name


def test_a_second_map_has_variances_of_its_own():
    drawn = theory.Branch.drawn("gpt2", 9, 16, second=True)
    assert (drawn.weights, drawn.out, drawn.chi) == (1.0, 1 / 9, 1 / 18)
    assert theory.Branch.drawn("gpt2", 9, 16).weights == 1 / 9
    assert theory.Branch.drawn("gpt2", 9, 16, skip=False).weights == 1.0


@pytest.mark.parametrize("init", get_args(Init))
@pytest.mark.parametrize("name", ["linear_terminated", "plain"])
def test_the_power_of_the_stream_and_its_gradient_follow_theory_with_every_initialisation(name, init):
    described = {"network": "trunk", "block": name, "settings": {}, "depth": 8, "width": 128, "widths": None}
    network = stack(partial(build, described), seeds=40, init=init, seed=0)
    random = torch.Generator().manual_seed(1)
    x, v = (torch.randn(16, 128, generator=random) for _ in range(2))
    found = trace.record(network.blocks, x.expand(40, -1, -1), lambda last: (last * v).sum((1, 2)))
    branch = network.blocks[0].theory(partial(theory.Branch.drawn, init, 8, 128))
    power = found.x.square().mean((1, 2, 3))
    assert float(power[-1] / power[0]) == pytest.approx(theory.stream(branch, 8, power=1.0)[-1, 0], rel=0.2)
    through = found.g.square().sum((1, 2, 3))
    assert float(through[0] / through[-1]) == pytest.approx(branch.factor**16, rel=0.2)


def test_everything_that_may_be_asked_for_as_initialisation_is_there():
    assert set(INITS) == set(get_args(Init))


def root_mean_square(init, column):
    """Over seeds, since theory speaks of the mean square: (depth,)."""
    return np.sqrt((probed(init)[:, :, COLUMNS.index(column)] ** 2).mean(axis=0))


@pytest.mark.parametrize("init", ["default", "he"])
def test_gradients_of_a_plain_network_decay_as_predicted(init):
    slope = np.polyfit(np.arange(20), np.log(root_mean_square(init, "delta_norm")), 1)[0]
    assert np.exp(-slope) == pytest.approx(plain(init).factor, rel=0.05)


def test_the_default_initialisation_loses_0_408_a_layer():
    assert plain("default").factor == pytest.approx(0.40825, abs=1e-5)
    assert plain("he").factor == 1


def test_the_decay_is_that_of_theory_at_every_single_layer():
    norms = root_mean_square("default", "delta_norm")
    assert norms[:-1] / norms[1:] == pytest.approx(np.full(19, plain("default").factor), rel=0.05)


def test_weight_gradients_follow_their_line_once_the_rows_look_alike():
    # In the first six blocks the stream still tells the classes apart, and the rows' shares add up.
    measured = root_mean_square("default", "weight_grad_norm")
    predicted = theory.weight_gradients(plain("default"), 20, 64, STEM)
    assert (measured / measured[-1])[6:] == pytest.approx(predicted[6:], rel=0.3)
    assert np.all((measured / measured[-1])[:6] > predicted[:6])


def test_the_activations_fall_to_a_floor_that_the_biases_hold():
    # rms 1/sqrt(5n), so that from there on the norm falls by sqrt(chi) alone.
    ratios = theory.weight_gradients(plain("default", 30), 30, 64, STEM)
    assert ratios[-2] == pytest.approx(plain("default").factor, rel=1e-6)
    assert theory.weight_gradients(plain("he", 5), 5, 64, (2.0, 0.0)) == pytest.approx(np.ones(5))


CASES = {
    "plain_he": {"block": "plain", "init": "he"},
    "plain_default": {"block": "plain", "init": "default"},
    "residual_he": {"block": "residual", "scale": 1.0, "init": "he"},
    "residual_he_over_sqrt_depth": {"block": "residual", "scale": 1.0, "init": "he_over_sqrt_depth"},
    "residual_default": {"block": "residual", "scale": 0.5**0.5, "init": "default"},
    "rezero": {"block": "rezero", "start": 0.3, "init": "he"},
    "linear_terminated_he": {"block": "linear_terminated", "scale": 0.3, "init": "he"},
    "linear_terminated_default": {"block": "linear_terminated", "scale": 1.0, "init": "default"},
}


@cache
def layers(name):
    """Root mean squares over 128 seeds of other widths than the study's, with theory: columns by layer."""
    config = Params.model_validate(
        {
            "depth": 8,
            "width": 96,
            "seeds": 128,
            "seed": 100,
            "variants": {name: CASES[name]},
            "inputs": {"rows": 32, "seed": 3},
            "line": {"points": 2},
        }
    )
    start = config.variants[name]
    return signals.layers(config, start, signals.network(config, start)).groupby("layer")


@pytest.mark.parametrize("name", CASES)
def test_power_mean_and_cosine_of_the_stream_follow_their_recursion(name):
    found = layers(name).mean()
    assert found["power"].to_numpy() == pytest.approx(found["power_theory"].to_numpy(), rel=0.15)
    rms = np.sqrt(found["power_theory"].to_numpy())
    assert found["mean"].to_numpy() / rms == pytest.approx(found["mean_theory"].to_numpy() / rms, abs=0.05)
    assert found["cosine"].to_numpy() == pytest.approx(found["cosine_theory"].to_numpy(), abs=0.02)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("plain", "linear"))])
def test_norms_of_all_gradients_follow_their_lines(name):
    found = layers(name).agg(lambda column: np.sqrt((column**2).mean()))
    for column in ("stream_grad_norm", "delta_norm", "weight_grad_norm"):
        assert found[column].dropna().to_numpy() == pytest.approx(
            found[f"{column}_theory"].dropna().to_numpy(), rel=0.1
        )


@pytest.mark.parametrize("name", ["residual_he", "residual_he_over_sqrt_depth", "residual_default"])
def test_with_a_relu_at_its_end_a_branch_sends_more_back_than_independent_squares(name):
    found = layers(name).agg(lambda column: np.sqrt((column**2).mean()))
    excess = (found["stream_grad_norm"] / found["stream_grad_norm_theory"]).to_numpy()
    assert excess[-3:] == pytest.approx(np.ones(3), rel=0.03)
    assert (np.diff(excess) < 0).all() and excess[0] > 1.01


def test_the_published_lines():
    no_mean = {"power": 1.0, "mean": 0.0}
    for branch, ratio in (
        (theory.Branch(weights=2, biases=0), 9.27e8),
        (theory.Branch(weights=2 / 20, biases=0), 48.4),
        (theory.Branch(weights=1 / 3, biases=0, scale=0.5**0.5), 217),
        (theory.Branch.drawn("he", 20, 64, scale=20**-0.5), 48.4),
        (theory.Branch.drawn("default", 20, 64, scale=20**-0.5), 2.72),
    ):
        assert theory.stream(branch, 20, **no_mean)[-1, 0] == pytest.approx(ratio, rel=5e-3)
    cosines = theory.stream(theory.Branch(weights=2, biases=0, skip=False), 20, **no_mean)[:, 2]
    assert cosines[[1, 5, 10, 20]] == pytest.approx([0.318, 0.736, 0.872, 0.948], abs=5e-4)
    factors = [plain(init).factor for init in ("he", "he_over_sqrt_depth", "default")]
    assert factors == pytest.approx([1, 0.2236, 0.408], abs=3e-4)


def test_the_arc_cosine_kernel_is_the_mean_product_of_two_relus():
    random = np.random.default_rng(0)
    u, w = random.standard_normal((2, 400_000))
    for c in (-0.7, 0.0, 0.5, 1.0):
        v = c * u + np.sqrt(1 - c**2) * w
        assert theory.arc_cosine(c) == pytest.approx(2 * np.mean(u.clip(0) * v.clip(0)), abs=0.01)


def test_theory_has_lines_where_signals_leave_what_numbers_hold():
    vanishing = theory.Branch.drawn("he_over_sqrt_depth", 400, 64, skip=False)
    lines = theory.stream(vanishing, 400, power=1 / 3)
    assert lines[-1, 0] == 0 and np.isfinite(lines).all()
    exploding = theory.Branch.drawn("he", 3, 64, scale=1e200)
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(theory.stream(exploding, 3, power=1 / 3)[-1, 0])
    assert exploding.factor == pytest.approx(1e200)


@every_block
def test_each_block_says_how_theory_sees_it_or_that_it_does_not(row):
    made = block.named(row.block)(Kit(), Place(4, 4))
    seen = made.theory(partial(theory.Branch.drawn, "he", 3, 4))
    assert (seen and {key: getattr(seen, key) for key in ("skip", "second", "scale")}) == row.theory


def test_only_plain_networks_have_a_line_of_weight_gradients():
    assert theory.weight_gradients(theory.Branch.drawn("he", 3, 4), 3, 4, STEM) is None
    assert theory.weight_gradients(theory.Branch.drawn("he", 3, 4, skip=False, second=True), 3, 4, STEM) is None
