"""The gates study: shifts, gates, correlations and theory against numbers found by other means."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from scipy.stats import rankdata

from gradflow.data import dataset
from gradflow.drawing.experiment import Experiment
from gradflow.moons import rows, training
from gradflow.params.loading import load
from gradflow.tables.columns import check
from studies.gates import off_manifold, shifted, signals, summary
from studies.gates import rows as stage
from studies.gates.figures import gates, norms, shifts
from studies.gates.params import Params

SEEDS = 2


@pytest.fixture
def config():
    whole = load(Params, Path(__file__).parents[2] / "studies/gates/params.yaml")
    small = {
        "moons": whole.moons.model_copy(update={"samples": 200}),
        "shifts": whole.shifts.model_copy(update={"box_points": 100}),
    }
    return whole.model_copy(update=small)


def about(block="gated", depth=3, width=16, **settings):
    described = {"network": "mlp", "block": block, "settings": settings, "widths": None}
    return described | {"depth": depth, "width": width, "init": "default"}


def test_each_shift_is_what_its_name_says(config):
    found = shifted.table(config)
    check(Path("shifts"), found, off_manifold.columns(config))
    assert list(found["shift"].unique()) == config.shifts.names()
    split = rows.split(config.moons)
    points, labels = split.validation
    at = {name: own[["x1", "x2"]].to_numpy() for name, own in found.groupby("shift")}
    np.testing.assert_allclose(at["validation"], points)
    np.testing.assert_allclose(at["scale_3"], 3 * points)
    np.testing.assert_allclose(at["translation_0_5"][: len(points)], points + np.array([0.5, 0]))
    np.testing.assert_allclose(at["translation_0_5"].reshape(4, -1, 2).mean(0), points, atol=1e-12)
    assert (at["noise_1"] - points).std() == pytest.approx(1, abs=0.15)
    assert abs(at["box_6"]).max() <= 6 and at["box_6"].std() == pytest.approx(6 / math.sqrt(3), rel=0.1)

    drawn = (split.scaler.inverse_transform(each) - split.scaler.mean_ for each in (at["rotation_90"], points))
    turned, straight = (part[:, 0] + 1j * part[:, 1] for part in drawn)
    np.testing.assert_allclose(turned, 1j * straight, atol=1e-12)

    own = found[found["shift"] == "rotation_45"]
    np.testing.assert_array_equal(own["label"], labels)
    assert found.loc[found["shift"] == "box_6", "label"].isna().all()
    gap = config.gap
    inside = np.hypot(*(points - np.array([gap.x1, gap.x2])).T) < gap.radius
    np.testing.assert_allclose(at["gap"], points[inside])
    assert 0 < inside.sum() < len(points)


def test_references_are_the_nearest_train_row_and_the_nearest_arc(config):
    found = shifted.table(config)
    split = rows.split(config.moons)
    at = found[["x1", "x2"]].to_numpy()
    apart = np.linalg.norm(at[:, None] - split.train[0], axis=2)
    np.testing.assert_allclose(found["distance"], apart.min(1))
    np.testing.assert_array_equal(found["nearest_row"], split.train[1][apart.argmin(1)])
    np.testing.assert_allclose(found["radius"], np.linalg.norm(at, axis=1))
    raw = split.scaler.inverse_transform(at)
    angle = np.linspace(0, np.pi, 4000)
    arcs = [np.column_stack([np.cos(angle), np.sin(angle)]), np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)])]
    to_arcs = np.stack([np.linalg.norm(raw[:, None] - arc, axis=2).min(1) for arc in arcs])
    sure = abs(to_arcs[0] - to_arcs[1]) > 1e-3
    np.testing.assert_array_equal(found["nearest_arc"][sure], to_arcs.argmin(0)[sure])


@pytest.mark.parametrize(
    ("block", "settings", "opening"),
    [
        ("gated", {"gate": "scalar", "bias": -1.0}, lambda b, x: torch.sigmoid(b.a).expand(*x.shape[:2], 1)),
        ("gated", {"gate": "unit", "bias": 0.0}, lambda b, x: torch.sigmoid(b.a).expand(*x.shape)),
        ("gated", {"gate": "input"}, lambda b, x: torch.sigmoid(x @ b.gate.weight.mT + b.gate.bias[:, None])),
        ("highway", {}, lambda b, x: torch.sigmoid(x @ b.gate.weight.mT + b.gate.bias[:, None])),
    ],
)
def test_the_opening_of_a_gate_is_the_weight_of_the_branch(block, settings, opening):
    network = training.drawn(about(block, **settings), SEEDS, 0)
    points = torch.randn(7, 2, generator=torch.Generator().manual_seed(3))
    x, expected = network.stem(points.expand(SEEDS, -1, -1)), []
    for each in network.blocks:
        g = opening(each, x)
        torch.testing.assert_close(each(x), (1 - g) * x + g * torch.relu(each.linear(x)))
        expected.append(g.mean(2))
        x = each(x)
    torch.testing.assert_close(off_manifold.opening(network, points), torch.stack(expected).mean(0).double())
    assert off_manifold.reads_the_stream(network) == (settings.get("gate", "input") == "input")


def test_there_is_no_opening_without_gates():
    network = training.drawn(about("residual"), SEEDS, 0)
    assert off_manifold.opening(network, torch.zeros(3, 2)) is None
    far = pd.DataFrame({"x1": [1.0], "x2": [0.0], "distance": [1.0], "radius": [1.0]})
    assert off_manifold.ranks({"end": network}, far).drop(columns="seed").isna().all(axis=None)
    assert off_manifold.plane({"end": network}, 2.0).empty


def test_partial_correlations_are_those_of_what_a_regression_on_the_radius_leaves():
    random = np.random.default_rng(0)
    radius = random.random(200)
    distance, gate = radius + random.random(200), radius**3 + 0.5 * random.random(200)
    whole, partial = off_manifold.correlations(gate, distance, radius)
    ranks = [rankdata(each) for each in (gate, distance, radius)]
    assert whole == pytest.approx(np.corrcoef(ranks[0], ranks[1])[0, 1])
    left = [each - np.polyval(np.polyfit(ranks[2], each, 1), ranks[2]) for each in ranks[:2]]
    assert partial == pytest.approx(np.corrcoef(*left)[0, 1])


def test_the_plane_is_a_map_with_its_lowest_row_first():
    network = training.drawn(about(gate="input"), SEEDS, 0)
    found = off_manifold.plane({"end": network}, 2.0)
    row, column, seed = 7, 31, 1
    at = torch.linspace(-2, 2, off_manifold.SIDE)
    point = torch.stack([at[column], at[row]])[None]
    own = found[(found["row"] == row) & (found["column"] == column) & (found["seed"] == seed)]
    with torch.no_grad():
        probability = network(training.stacked(point, network)).softmax(2)[seed, 0, 1].item()
    assert own["probability"].tolist() == pytest.approx([probability], abs=1e-6)
    assert own["gate"].tolist() == pytest.approx(off_manifold.opening(network, point)[seed].tolist(), abs=1e-6)


def test_gradients_of_weights_are_those_of_backpropagation():
    network = training.drawn(about(gate="unit", bias=-1.0), SEEDS, 0)
    points = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    labels = (points[:, 0] > 0).long()
    found = signals.gradients({"end": network}, about(gate="unit", bias=-1.0), (points, labels), 20)
    logits = network(training.stacked(points, network))
    loss = torch.stack([torch.nn.functional.cross_entropy(own, labels) for own in logits]).sum()
    weights = [block.linear.weight for block in network.blocks]
    norms = torch.stack([each.norm(dim=(1, 2)) for each in torch.autograd.grad(loss, weights)])
    assert found["weight_ratio_end"].tolist() == pytest.approx((norms[0] / norms[-1]).tolist(), rel=1e-4)
    assert found["weight_span_end"].tolist() == pytest.approx((norms.amax(0) / norms.amin(0)).tolist(), rel=1e-4)


def test_gradients_before_training_are_those_of_theory(config):
    described = about(depth=12, width=64, gate="scalar", bias=-1.0)
    split = rows.split(config.moons)
    labelled = torch.from_numpy(split.train[0]).float(), torch.from_numpy(split.train[1])
    found = signals.gradients({"start": training.drawn(described, 16, 0)}, described, labelled, 100)
    g = 1 / (1 + math.e)
    assert signals.predicted(described) == pytest.approx(((1 - g) ** 2 + g**2 / 6) ** 6)
    assert found["stream_ratio_start"].mean() == pytest.approx(signals.predicted(described), rel=0.15)
    assert math.isnan(signals.predicted(about("residual")))


def test_answers_count_only_rows_that_have_a_label(config):
    found = shifted.table(config)
    network = training.drawn(about(gate="input"), SEEDS, 0)
    measured = off_manifold.answers(network, found)
    assert measured.loc[measured["shift"] == "box_6", ["accuracy", "reference_row"]].isna().all(axis=None)
    own = found[found["shift"] == "scale_2"]
    points = torch.from_numpy(own[["x1", "x2"]].to_numpy(copy=True)).float()
    probabilities = network(points.expand(SEEDS, -1, -1)).softmax(2)
    chosen = probabilities.argmax(2).numpy()
    right = (chosen == own["label"].to_numpy()).mean(1)
    assert measured.loc[measured["shift"] == "scale_2", "accuracy"].to_numpy() == pytest.approx(right)
    confidence = probabilities.amax(2).mean(1).tolist()
    assert measured.loc[measured["shift"] == "scale_2", "confidence"].tolist() == pytest.approx(confidence)
    gains = summary.against(measured, measured.assign(accuracy=measured["accuracy"] - 0.25))
    assert gains["scale_2_gain"] | {"std": 0} == pytest.approx(
        {"mean": 0.25, "std": 0, "min": 0.25, "max": 0.25, "seeds": 2}
    )
    assert "box_6_gain" not in gains


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_figures_show_what_there_is(config, seeds):
    found = shifted.table(config)
    network = training.drawn(about(gate="input"), seeds, 0)
    experiment = Experiment({"a": 3, "b": 3, "lost": 3}, seeds, 3, {"a": {}, "b": {}, "lost": {0: 2}}, "a caption")
    both = [measured(network, found) for measured in (off_manifold.answers, off_manifold.norms)]
    answers, streams = (pd.concat({"a": each, "b": each}, names=["variant"]).reset_index("variant") for each in both)
    plane = off_manifold.plane({"start": network, "end": network}, 6.0).assign(variant="a")
    points = dict.fromkeys(experiment.diverged, rows.split(config.moons).train[0])
    for figure in (
        shifts.draw(answers, experiment),
        norms.draw(streams, ["validation", "box_6"], experiment),
        gates.draw(plane, 6.0, points, {"a": (0.0, 1.0, 0.5)}, experiment),
    ):
        figure.draw_without_rendering()
        assert "a caption" in figure.get_supxlabel()


def test_rows_outside_of_the_gap(config, tmp_path, monkeypatch):
    """None of them lies in it, and no other row is missing."""
    monkeypatch.setattr(stage, "load", lambda _: config)
    paths = [str(tmp_path / f"{name}.parquet") for name in ("all", "outside", "validation")]
    done = CliRunner().invoke(stage.main, paths)
    assert done.exit_code == 0, done.output
    every, outside = (dataset.read(Path(path))[0] for path in paths[:2])
    gap = config.gap
    near = np.hypot(*(every - np.array([gap.x1, gap.x2])).T) < gap.radius
    np.testing.assert_array_equal(outside, every[~near])
    assert near.any()
