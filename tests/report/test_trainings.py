"""The table of all trainings, which the explorer shows, against the tables of the studies."""

import json

import numpy as np
import pandas as pd
import pytest

from gradflow.report import explorer
from tests.trainings import DEPTHS, RUNS, SKIPS


@pytest.fixture(scope="module")
def joined(results, tmp_path_factory):
    """What the stage makes of the root."""
    folder = tmp_path_factory.mktemp("joined")
    made = [folder / "explorer.csv", folder / "explorer.json"]
    results.run("python", "-m", "studies.ledger.explorer", *made, "--study", results.root, "gradflow")
    return pd.read_csv(made[0]), json.loads(made[1].read_text(encoding="utf-8"))


def test_the_table_has_mean_lowest_and_highest_over_the_seeds(joined, results):
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
                found = [row.mean, row.low, row.high]
                assert found == pytest.approx([seeds.mean(), seeds.min(), seeds.max()], rel=6e-4)
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


def test_frames_are_trainings_that_differ_in_skip_or_depth_alone():
    found = explorer._sliders(RUNS)
    assert [[RUNS[at]["settings"]["skip"] for at in frame] for frame in found["skip"]] == [[skip] for skip in SKIPS]
    assert [[RUNS[at]["variant"] for at in frame] for frame in found["depth"]] == [
        [f"plain_{depth}", f"residual_{depth}"] for depth in DEPTHS
    ]
    assert explorer._sliders([run for run in RUNS if run["study"] != "explorer"]) == {"skip": [], "depth": []}
