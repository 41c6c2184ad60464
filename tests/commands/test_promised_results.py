"""What the README says of the default run, with fewer seeds."""

import json
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def default(fresh, tmp_path_factory):
    """The pipeline at the size in params.yaml, except for the number of seeds."""
    project = fresh.copy(tmp_path_factory.mktemp("default") / "project")
    document = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8")) | {"seeds": 2}
    (project.root / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    project.run("dvc", "repro", "gradients")
    return project


def metrics(project):
    return json.loads((project.root / "reports/metrics.json").read_text(encoding="utf-8"))


def test_gradients_vanish_in_the_plain_network(default):
    plain = metrics(default)["plain"]
    assert 0.5 <= plain["val_accuracy"]["mean"] <= 0.6
    assert plain["grad_first_over_last"] < 1e-4
    assert plain["vanished_layers"] >= 5
    assert plain["decay_per_layer"] == pytest.approx(0.408, rel=0.1)


def test_the_residual_network_keeps_them_and_trains(default):
    residual = metrics(default)["residual"]
    assert residual["val_accuracy"]["min"] > 0.94
    assert 0.2 < residual["grad_first_over_last"] < 20
    assert (residual["vanished_layers"], residual["diverged"]) == (0, [])


def test_without_clipping_every_residual_seed_diverges_and_the_pipeline_ends_well(default):
    default.change({"train.clip_norm": None, "train.epochs": 3, "seeds": 4})
    default.run("dvc", "repro", "plot")
    numbers = metrics(default)
    assert [entry["seed"] for entry in numbers["residual"]["diverged"]] == [0, 1, 2, 3]
    assert {entry["epoch"] for entry in numbers["residual"]["diverged"]} == {1}
    assert numbers["residual"]["val_accuracy"]["mean"] is None
    assert numbers["plain"]["diverged"] == []
    assert "4 of 4 seeds diverged" in (default.root / "reports/figures/gradient_flow.svg").read_text(encoding="utf-8")
    shown = json.loads(default.run("dvc", "metrics", "show", "--json").stdout)
    assert shown[""]["data"]["reports/metrics.json"]["data"]["residual"]["diverged_seeds"] == 4


def test_nothing_at_all_to_draw_is_said_and_is_no_failure(project):
    project.change({"variants": {"wild": {"block": "residual", "scale": 1e30}}})
    project.run("dvc", "repro", "plot")
    assert metrics(project)["wild"]["diverged_seeds"] == 2
    for name in ("gradient_flow", "gradient_heatmap", "loss_curves", "activations", "decision_boundary"):
        text = (project.root / f"reports/figures/{name}.svg").read_text(encoding="utf-8")
        assert "diverged" in text and "skip connection" not in text
