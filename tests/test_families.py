"""Variants that differ in one parameter alone, and their metrics against it."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gradflow.analysis import by_parameter, families
from gradflow.drawing import setting
from gradflow.figures import metric_by_parameter
from gradflow.recipe import Recipe
from stages import check

ROOT = Path(__file__).parents[1]
VARIANTS = {
    "plain_2": {"block": "plain", "depth": 2},
    "plain_40": {"block": "plain", "depth": 40},
    "plain_he": {"block": "plain", "train": {"init": "he"}},
    "soft_1": {"block": "residual", "scale": 0.1, "train": {"lr": 0.01}},
    "soft_2": {"block": "residual", "scale": 0.2, "train": {"lr": 0.01}},
    "soft": {"block": "residual", "scale": 0.2, "train": {"lr": 0.02}},
}
DEEP = {
    **{f"highway_2_{depth}": {"block": "highway", "bias": -2.0, "depth": depth} for depth in (20, 100)},
    **{f"highway_5_{depth}": {"block": "highway", "bias": -5.0, "depth": depth} for depth in (20, 100)},
    "rezero_100": {"block": "rezero", "depth": 100},
    "gated_120": {"block": "gated", "depth": 20},
}


def parameters(**changes):
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")) | {"variants": VARIANTS}
    return document | {"plot": {"dpi": 50} | changes}


@pytest.fixture
def config():
    return Recipe.model_validate(parameters())


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (
            "depth",
            {
                "plain": {"plain_2": 2, "plain_40": 40},
                "plain_he": {"plain_he": 20},
                "soft_1": {"soft_1": 20},
                "soft_2": {"soft_2": 20},
                "soft": {"soft": 20},
            },
        ),
        ("scale", {"soft_1": {"soft_1": 0.1, "soft_2": 0.2}, "soft": {"soft": 0.2}}),
        (
            "train.lr",
            {
                "plain_2": {"plain_2": 0.1},
                "plain_40": {"plain_40": 0.1},
                "plain_he": {"plain_he": 0.1},
                "soft_1": {"soft_1": 0.01},
                "soft_2": {"soft_2": 0.01, "soft": 0.02},
            },
        ),
    ],
)
def test_a_family_is_what_differs_in_one_parameter_alone_and_has_a_name_of_its_own(config, parameter, expected):
    assert families.families(config, parameter) == expected


def test_the_name_of_a_family_is_that_of_its_variants_without_the_value_and_keeps_other_numbers():
    config = Recipe.model_validate(parameters() | {"variants": DEEP})
    assert families.families(config, "depth") == {
        "highway_2": {"highway_2_20": 20, "highway_2_100": 100},
        "highway_5": {"highway_5_20": 20, "highway_5_100": 100},
        "rezero": {"rezero_100": 100},
        "gated_120": {"gated_120": 20},
    }


@pytest.mark.parametrize("parameter", ["width", "train.nothing", "nothing", "train.scale", "variants.soft_1.scale"])
def test_what_no_variant_has_is_refused_before_anything_runs(parameter, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(parameters(against=parameter), sort_keys=False), encoding="utf-8")
    done = CliRunner().invoke(check.main, ["passed"])
    rule = "must be depth, train.KEY or a setting of a block that a variant has"
    assert (done.exit_code, done.stderr) == (2, f"gradflow: params.yaml: plot.against: {rule}, got {parameter!r}\n")


def test_metrics_are_drawn_against_the_parameter_with_what_is_known_of_their_spread(config):
    metrics = {
        name: {
            "train_loss": {"mean": 0.1 * place, "std": 0.0, "min": 0.05 * place, "max": 0.2 * place, "seeds": 8},
            "val_accuracy": {"mean": None, "std": None, "min": None, "max": None, "seeds": 0},
            "learnt": 0.5 + 0.05 * place,
            "learnt_low": 0.2,
            "learnt_high": 0.9,
            "diverged": [{"seed": 0, "epoch": 1, "step": 5}] * (name == "plain_40"),
        }
        for place, name in enumerate(VARIANTS, start=1)
    }
    found = families.families(config, "depth")
    table = by_parameter.table(found, metrics)
    losses = table[table["metric"] == by_parameter.METRICS["train_loss"]].set_index(["variant", "at"])
    assert losses.loc[("plain", 40), ["mean", "min", "max"]].tolist() == pytest.approx([0.2, 0.1, 0.4])
    shares = table[table["metric"] == by_parameter.METRICS["learnt"]]
    assert set(shares["min"]) == {0.2} and set(shares["max"]) == {0.9}
    assert set(table["metric"]) == {by_parameter.METRICS[name] for name in ("train_loss", "learnt")}

    source = {"source": "sklearn", "path": "", "rows": 2000}
    about = setting.of_families(config, metrics, source, found, "depth")
    assert [about.label(name) for name in found][:2] == ["plain (diverged: 1 of 8 seeds at 40)", "plain_he"]
    assert "Width 64, 8 seeds" in about.caption and "depth" not in about.caption.lower()
    assert metric_by_parameter.draw(table, "depth", about) is not None
