"""The scaling study against plain PyTorch, its numbers against tables made by hand, figures of lost seeds."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from torch import nn

from gradflow.drawing import style
from gradflow.params.loading import load
from studies.scaling import summary, train
from studies.scaling.figures import by_depth, by_rate
from studies.scaling.params import Params
from studies.scaling.task import Teacher

WIDTH, BATCH, ROWS, STEPS = 8, 16, 32, 6  # looked at after STEPS / 2
SMALL = {
    "width": WIDTH,
    "base_depth": 2,
    "seeds": 2,
    "teacher": {"hidden": 3, "gain": 1.5, "seed": 4},
    "train": {"steps": STEPS, "batch_size": BATCH, "log2_lrs": [-6, -5], "init": "default", "seed": 7},
    "measure": {"rows": ROWS, "steps": STEPS // 2},
    "analysis": {"log2_lr": -5},
}


def point(depth, exponent, **settings):
    return {"block": "prenorm", "depth": depth, "exponent": exponent, "transfer": True, **settings}


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Train variants in small and return their tables, by name."""
    monkeypatch.chdir(tmp_path)

    def run(variants):
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(SMALL | {"variants": variants}), encoding="utf-8")
        for name in variants:
            done = CliRunner().invoke(train.main, [name, "logs"], catch_exceptions=False)
            assert done.exit_code == 0, done.output
        return {name: pd.read_parquet(tmp_path / "logs" / f"{name}.parquet") for name in variants}

    return run


class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.first, self.second = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        return self.second(torch.relu(self.first(self.norm(x))))


class Plain(nn.Module):
    """The network as a reader would write it."""

    def __init__(self, depth, multiplier):
        super().__init__()
        self.stem = nn.Linear(WIDTH, WIDTH)
        self.branches = nn.ModuleList(Branch() for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1)
        self.multiplier = multiplier

    def stream(self, x):
        x = self.stem(x)
        for branch in self.branches:
            x = x + self.multiplier * branch(x)
        return x

    def forward(self, x):
        return self.head(self.norm(self.stream(x)))


def followed(seed, log2_lr, *, depth, exponent, transfer):
    """RMS change and loss by torch.optim's AdamW and the rules of CompleteP's table 1, written out."""
    teacher, m, lr = Teacher(width=WIDTH, **SMALL["teacher"]), depth / 2, 2.0**log2_lr
    torch.manual_seed(SMALL["train"]["seed"] + seed)
    network = Plain(depth, m**-exponent)
    inside = {"params": list(network.branches.parameters())}
    if transfer:
        inside |= {"lr": lr * m ** (exponent - 1), "eps": 1e-8 * m**-exponent}
    outside = [*network.stem.parameters(), *network.norm.parameters(), *network.head.parameters()]
    optimiser = torch.optim.AdamW([inside, {"params": outside}], lr=lr)

    def drawn(rows, *purpose):
        x = np.random.default_rng((SMALL["train"]["seed"], *purpose)).standard_normal((rows, WIDTH))
        return torch.from_numpy(x).float(), torch.from_numpy(teacher(x)).float()

    x, y = drawn(ROWS, 1)
    start = network.stream(x).detach()
    for step in range(STEPS):
        inputs, targets = drawn(BATCH, 0, step)
        optimiser.zero_grad()
        ((network(inputs) - targets) ** 2).mean().backward()
        optimiser.step()
        if step + 1 == STEPS // 2:
            change = ((network.stream(x).detach() - start) ** 2).mean().sqrt().item()
    return change, ((network(x) - y) ** 2).mean().item()


@pytest.mark.parametrize(
    ("exponent", "transfer"), [(0.0, False), (0.0, True), (0.5, True), (1.0, True)], ids=["zero", "slow", "half", "one"]
)
def test_a_training_is_that_of_plain_pytorch_with_completeps_rules(trained, exponent, transfer):
    [table] = trained({"own": point(6, exponent, transfer=transfer)}).values()
    assert list(table.columns) == ["seed", "log2_lr", "rms_change", "loss"]
    assert table[["log2_lr", "seed"]].to_numpy().tolist() == [[-6, 0], [-6, 1], [-5, 0], [-5, 1]]
    for row in table.itertuples():
        expected = followed(row.seed, row.log2_lr, depth=6, exponent=exponent, transfer=transfer)
        assert (row.rms_change, row.loss) == pytest.approx(expected, rel=1e-3)


def test_at_the_base_depth_all_variants_are_one_training(trained):
    variants = {"zero": point(2, 0.0) | {"transfer": False}, "half": point(2, 0.5), "one": point(2, 1.0)}
    zero, half, one = trained(variants).values()
    pd.testing.assert_frame_equal(zero, half)
    pd.testing.assert_frame_equal(zero, one)


def test_seeds_that_diverge_leave_gaps_and_the_others_their_numbers(trained):
    tables = trained({"lost": point(3, 0.5, scale=1e30), "kept": point(3, 0.5)})
    assert tables["lost"][["rms_change", "loss"]].isna().all(axis=None) and len(tables["lost"]) == 4
    assert tables["kept"].notna().all(axis=None)


@pytest.mark.parametrize(("hidden", "gain"), [(1, 0.5), (3, 2.0), (8, 2.0)])
def test_targets_have_a_mean_square_of_one(hidden, gain):
    x = np.random.default_rng(0).standard_normal((100_000, WIDTH))
    targets = Teacher(width=WIDTH, hidden=hidden, gain=gain, seed=1)(x)
    assert targets.shape == (100_000, 1)
    assert (targets**2).mean() == pytest.approx(1, rel=0.02) and abs(targets.mean()) < 0.02


def test_a_unit_of_the_teacher_is_a_tanh_of_one_direction():
    x = np.random.default_rng(0).standard_normal((50, WIDTH))
    slope = Teacher(width=WIDTH, hidden=1, gain=1e-6, seed=1)(x)  # a tanh so close to 0 is its argument
    direction, *_ = np.linalg.lstsq(x, slope, rcond=None)
    assert np.linalg.norm(direction) == pytest.approx(1, rel=1e-6)
    steep = Teacher(width=WIDTH, hidden=1, gain=3.0, seed=1)(x)
    size = np.abs(steep / np.tanh(3 * x @ direction))
    assert size.min() == pytest.approx(size.max(), rel=1e-6) and size.min() > 1


# Losses of two seeds at two rates, shallow and deep; the second seed of the deep one diverges at the larger rate.
SHALLOW = pd.DataFrame(
    {"seed": [0, 0, 1, 1], "log2_lr": [-6, -5] * 2, "rms_change": [0.1, 0.2, 0.1, 0.4], "loss": [0.5, 0.2, 0.1, 0.3]}
)
DEEP = pd.DataFrame(
    {"seed": [0, 0, 1, 1], "log2_lr": [-6, -5] * 2, "rms_change": [0.1, 0.6, 0.1, 0.8], "loss": [0.1, 0.3, 0.2, np.nan]}
)


def test_the_numbers_of_a_variant_and_of_a_family():
    numbers = summary.of_variant(DEEP, -5)
    assert numbers["rms_change"]["mean"] == pytest.approx(0.7) and numbers["rms_change"]["seeds"] == 2
    assert numbers["loss"] == {"mean": 0.3, "std": 0.0, "min": 0.3, "max": 0.3, "seeds": 1}
    assert numbers["lowest_loss"]["mean"] == pytest.approx(0.15) and numbers["best_log2_lr"]["mean"] == -6
    assert (numbers["seeds"], numbers["diverged"]) == (2, 1)

    family = summary.of_family(SHALLOW, DEEP, -5)
    assert [family["rms_change_ratio"][key] for key in ("min", "max")] == pytest.approx([2, 3])
    assert family["loss_ratio"]["mean"] == pytest.approx(1.5) and family["loss_ratio"]["seeds"] == 1
    assert [family["lowest_loss_ratio"][key] for key in ("min", "max")] == pytest.approx([0.5, 2])
    assert [family["best_log2_lr_shift"][key] for key in ("min", "max")] == [-1, 0]
    assert [family["carried_loss_ratio"][key] for key in ("min", "max")] == pytest.approx([1, 3])


def test_families_are_variants_that_differ_in_depth_alone():
    variants = {"half_8": point(8, 0.5), "half_4": point(4, 0.5), "one": point(4, 1.0), "one_2": point(2, 1.0)}
    config = Params.model_validate(SMALL | {"variants": variants | {"zero_2": point(2, 0.0)}})
    assert summary.families(config) == {
        "half": {"half_4": 4, "half_8": 8},
        "one": {"one_2": 2, "one": 4},
        "zero_2": {"zero_2": 2},
    }


def words(figure, tmp_path):
    """What a figure says, as its SVG holds it."""
    style.save(figure, tmp_path / "figure", 40)
    text = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    return " ".join(" ".join(re.findall(r"<!-- (.*?) -->", text, re.DOTALL)).split())


def rates(config, loss):
    """A table in which the loss is a function of variant, seed and log2_lr."""
    keys = [(name, seed, rate) for name in config.variants for seed in range(config.seeds) for rate in (-6, -5)]
    table = pd.DataFrame(keys, columns=["variant", "seed", "log2_lr"])
    values = [loss(*key) for key in keys]
    return table.assign(rms_change=values, loss=values)


@pytest.mark.parametrize("draw", [by_depth.draw, by_rate.draw])
def test_figures_say_how_many_trainings_were_lost(tmp_path, draw):
    variants = {"half_2": point(2, 0.5), "half_4": point(4, 0.5), "zero_2": point(2, 0.0)}
    config = Params.model_validate(SMALL | {"variants": variants})
    said = words(draw(rates(config, lambda *_: 0.5), config), tmp_path)
    assert "diverged" not in said and "2 to 4 blocks" in said
    assert "half: branch times 1/√m, rate times 1/√m; zero_2: branch times 1, rate times 1/m" in said

    some = rates(config, lambda name, seed, rate: math.nan if (name, rate) == ("half_4", -5) else 0.5)
    assert "2 of 12 trainings diverged and have no point" in words(draw(some, config), tmp_path)
    none = rates(config, lambda *_: math.nan)
    assert "each training diverged" in words(draw(none, config), tmp_path)
    assert summary.of_all(none, config)["half"]["loss_ratio"]["seeds"] == 0
    json.dumps(summary.of_all(none, config), allow_nan=False)


def test_a_loss_beyond_all_bounds_leaves_the_others_their_axes(tmp_path):
    config = Params.model_validate(SMALL | {"variants": {"half_4": point(4, 0.5)}})
    figure = by_rate.draw(rates(config, lambda _, __, rate: 1e30 if rate == -5 else 0.5), config)
    assert figure.axes[0].get_ylim()[1] < 10
    assert "Losses above 100 leave the axes" in words(figure, tmp_path)


def test_a_single_network_is_drawn(tmp_path):
    config = Params.model_validate(SMALL | {"seeds": 1, "variants": {"half_4": point(4, 0.5)}})
    for draw in (by_depth.draw, by_rate.draw):
        said = words(draw(rates(config, lambda *_: 0.5), config), tmp_path)
        assert "One seed." in said and "of 4 blocks" in said
    assert set(summary.of_all(rates(config, lambda *_: 0.5), config)) == {"half_4"}


def test_the_parameters_in_git_hold_four_families_of_the_same_depths():
    found = summary.families(load(Params, Path(__file__).parents[2] / "studies/scaling/params.yaml"))
    assert [*found] == ["zero", "zero_slowed", "half", "one"]
    assert {tuple(members.values()) for members in found.values()} == {(2, 4, 8, 16, 32, 64)}
