"""The table of all trainings, which the explorer shows, against the tables of the studies."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gradflow.report import explorer
from gradflow.tracking.experiment import DEFAULT
from tests.trainings import DEPTHS, RUNS, SKIPS, training

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def joined(results, tmp_path_factory):
    """What the stage makes of the root."""
    folder = tmp_path_factory.mktemp("joined")
    made = [folder / "explorer.csv", folder / "explorer.json"]
    results.run("python", "-m", "studies.ledger.explorer", *made, "--study", results.root, "gradflow")
    return pd.read_csv(made[0]), json.loads(made[1].read_text(encoding="utf-8"))


def test_the_table_has_median_lowest_and_highest_over_the_seeds(joined, results):
    table, _ = joined
    assert list(table.columns) == list(explorer.COLUMNS)
    probe, history = (pd.read_csv(results.root / f"reports/{name}.csv") for name in ("probe", "history"))
    probe["stream"] = np.hypot(probe["x_mean"], probe["x_std"])
    last = history["epoch"].max()
    probe = probe[probe["epoch"].isin({0, last})]
    expected = 0
    for source, names in (
        (probe, explorer.BY_LAYER),
        (history.assign(layer=0), ("train_loss", "val_loss", "val_accuracy")),
    ):
        for name in names:
            for (variant, epoch, layer), seeds in source.groupby(["variant", "epoch", "layer"])[name]:
                [row] = table[
                    (table["variant"] == variant)
                    & (table["quantity"] == name)
                    & (table["epoch"] == epoch)
                    & (table["layer"] == layer)
                ].itertuples()
                found = [row.median, row.low, row.high]
                assert found == pytest.approx([seeds.median(), seeds.min(), seeds.max()], rel=6e-4)
                assert row.seeds == len(seeds)
                expected += 1
    assert len(table) == expected


def test_each_training_says_what_it_was_and_what_makes_it(joined, results):
    _, facts = joined
    plain, residual = facts["runs"]
    assert (plain["study"], plain["variant"], plain["mlflow"]) == ("root", "plain", "gradflow")
    assert plain["command"] == "dvc repro train@plain"
    assert residual["settings"]["scale"] == pytest.approx(0.5**0.5)
    assert len(plain["theory"]) == plain["depth"] and residual["theory"] is None
    assert plain["differs"] == [] and plain["ended"] == "all seeds trained to the end"
    grid = pd.read_parquet(results.root / "logs/residual.boundary.parquet")
    mean = grid.groupby(["row", "column"])["probability"].mean().unstack().to_numpy()
    coarse = mean.reshape(50, 2, 50, 2).mean(axis=(1, 3)).ravel()
    shown = [(ord(letter) - 40) / 50 for letter in residual["boundary"]]
    assert shown == pytest.approx(coarse, abs=0.0101)
    assert min(residual["boundary"]) >= "(" and max(residual["boundary"]) <= "Z"


@pytest.fixture(scope="module")
def further(finished, tmp_path_factory):
    """What the stage makes of the root and of a study of its networks, one of which diverges."""
    project = finished.copy(tmp_path_factory.mktemp("further") / "a project")
    project.run("python", "-m", "pipelines.study", "loose")
    study = replace(project, root=project.root / "studies/loose")
    wild = {"block": "residual", "train": {"lr": 100.0, "clip_norm": None}}
    study.change({"width": 7, "train.epochs": 2, "probe.every": 1, "variants.wild": wild})
    study.run("dvc", "repro")
    made = [project.root / "explorer.csv", project.root / "explorer.json"]
    folders = ["--study", project.root, "gradflow", "--study", study.root, "none"]
    project.run("python", "-m", "studies.ledger.explorer", *made, *folders)
    facts = json.loads(made[1].read_text(encoding="utf-8"))
    return study, pd.read_csv(made[0]), facts


def test_a_training_of_a_study_says_where_it_is_and_what_is_unusual_about_it(further):
    _, _, facts = further
    *_, plain, _, wild = facts["runs"]
    assert (plain["study"], plain["mlflow"]) == ("loose", None)
    assert plain["command"] == "cd studies && dvc repro loose/dvc.yaml:train@plain"
    assert plain["differs"] == ["width 7"] and wild["differs"] == ["width 7", "train.lr 100.0"]
    assert wild["clip_norm"] is None and plain["clip_norm"] == 1.0
    assert len(facts["points"]) == 1 and {run["points"] for run in facts["runs"]} == {0}, "the rows are the same"


def test_a_training_of_which_no_seed_is_left_has_what_it_began_with(further):
    study, table, facts = further
    wild = facts["runs"][-1]
    seeds = study.params()["seeds"]
    assert wild["ended"].startswith(f"{seeds} of {seeds} seeds diverged in epoch")
    assert wild["boundary"] is None and wild["vanished"][1] is None and wild["vanished"][0] is not None
    norms = table[(table["variant"] == "wild") & (table["quantity"] == "weight_grad_norm")]
    assert set(norms["epoch"]) == {0}


def test_blocks_whose_gradient_vanished_are_counted_by_seed(further):
    study, _, facts = further
    probe = pd.read_csv(study.root / "reports/probe.csv")
    start = probe[(probe["variant"] == "plain") & (probe["epoch"] == 0)]
    below = study.params()["analysis"]["vanished_below"]
    expected = (start.pivot(index="seed", columns="layer", values="weight_grad_norm") < below).sum(axis=1).mean()
    assert facts["runs"][-3]["vanished"][0] == expected


def test_the_study_of_the_sliders_is_said_to_be_where_it_is_tracked():
    ledger = yaml.safe_load((CHECKOUT / "studies/ledger/dvc.yaml").read_text(encoding="utf-8"))
    command = ledger["stages"]["explorer"]["cmd"]
    assert f"--study ../.. {DEFAULT} --study ../{explorer.STUDY} {DEFAULT}-{explorer.STUDY} " in command


def test_trainings_that_readers_add_leave_the_sliders_as_they_are():
    added = [
        training("explorer", "asked", "partial", {"skip": 0.5}, depth=4),
        training("explorer", "asked_too", "partial", {"skip": 0.5}, depth=9),
        training("explorer", "asked_last", "plain", {}, depth=7, init="he"),
    ]
    assert explorer._sliders([*RUNS, *added]) == explorer._sliders(RUNS)


def test_frames_are_trainings_that_differ_in_skip_or_depth_alone():
    found = explorer._sliders(RUNS)
    assert [[RUNS[at]["settings"]["skip"] for at in frame] for frame in found["skip"]] == [[skip] for skip in SKIPS]
    assert [[RUNS[at]["variant"] for at in frame] for frame in found["depth"]] == [
        [f"plain_{depth}", f"residual_{depth}"] for depth in DEPTHS
    ]
    assert explorer._sliders([run for run in RUNS if run["study"] != "explorer"]) == {"skip": [], "depth": []}
