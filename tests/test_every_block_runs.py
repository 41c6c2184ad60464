"""The recipe with a network of every block, and of other widths, from its data to its figures."""

import contextlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from gradflow import checkpoints
from gradflow.analysis import gradients as analysis
from gradflow.data import dataset
from gradflow.params import catalogue
from stages import check, fetch, gradients, plot, scale, train
from tests.blocks import ROWS

ROOT = Path(__file__).parents[1]
SEEDS, EPOCHS, DEPTH = 2, 3, 4
MAPS = {row.block: row.maps for row in reversed(ROWS)}  # of several rows the first, which has the default settings
VARIANTS = {name: {"block": name} for name in catalogue.names()} | {
    "narrowing": {"block": "plain", "widths": [16, 8], "train": {"init": "he"}},
    "rms": {"block": "postnorm", "norm": "rms", "train": {"optimizer": "adam", "lr": 0.01}},
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder in which the stages of the recipe have run on these variants."""
    folder = tmp_path_factory.mktemp("every block")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"depth": DEPTH, "width": 16, "seeds": SEEDS, "variants": VARIANTS}
    params["data"]["samples"], params["probe"]["samples"], params["plot"]["dpi"] = 200, 32, 50
    params["plot"]["against"] = "depth"
    params["train"] |= {"epochs": EPOCHS, "batch_size": 32}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")

    def stage(module, *arguments):
        done = CliRunner().invoke(module.main, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.stderr

    threads = torch.get_num_threads()
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patched:
        patched.setitem(os.environ, "GRADFLOW_DEVICE", "cpu")
        stage(check, "passed")
        stage(fetch, "raw.parquet", "source.json")
        stage(scale, "raw.parquet", "train.parquet", "val.parquet", "scaler.json")
        for variant in VARIANTS:
            stage(train, variant, "train.parquet", "val.parquet", ".", ".")
        tables = ("norms.csv", "probes.csv", "history.csv", "metrics.json")
        stage(gradients, ".", *tables)
        stage(plot, *tables, ".", "val.parquet", "source.json", "figures")
    torch.set_num_threads(threads)
    return folder


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_network_trains_and_its_checkpoint_is_what_was_measured(ran, variant):
    history = pd.read_csv(ran / "history.csv").query("variant == @variant").set_index(["epoch", "seed"])
    assert len(history) == EPOCHS * SEEDS
    assert history.loc[EPOCHS, "train_loss"].mean() < history.loc[1, "train_loss"].mean()

    points, labels = dataset.read(ran / "val.parquet")
    points, labels = torch.from_numpy(points).float(), torch.from_numpy(labels)
    for seed in range(SEEDS):
        network = checkpoints.load(ran / f"{variant}.safetensors", seed)
        with torch.no_grad():
            loss = torch.nn.functional.cross_entropy(network(points), labels)
        assert float(loss) == pytest.approx(history.loc[(EPOCHS, seed), "val_loss"], rel=1e-4)


def test_widths_are_those_of_the_stream(ran):
    network = checkpoints.load(ran / "narrowing.safetensors")
    shapes = [tuple(each.weight.shape) for each in network.linear_maps()]
    assert shapes == [(16, 2), (16, 16), (16, 16), (8, 16), (8, 8), (2, 8)]
    assert json.loads((ran / "narrowing.json").read_text())["theory"] is None, "theory knows one width"


def test_each_map_of_a_block_has_its_own_rows_in_the_table_of_norms(ran):
    norms = pd.read_csv(ran / "norms.csv", dtype={"variant": str}).query("seed == 0 and epoch == 1")
    for variant in VARIANTS:
        maps = MAPS[VARIANTS[variant]["block"]]
        own = [f".{name}" for name in maps] if len(maps) > 1 else [""]
        names = ["stem", *(f"block_{layer}{end}" for layer in range(1, DEPTH + 1) for end in own), "head"]
        assert norms.query("variant == @variant")["name"].tolist() == names
        layers = [0, *(layer for layer in range(1, DEPTH + 1) for _ in own), DEPTH + 1]
        assert norms.query("variant == @variant")["layer"].tolist() == layers


def test_numbers_of_a_layer_are_of_all_its_maps_and_of_one_map_its_own(ran):
    norms = pd.read_csv(ran / "norms.csv").query("epoch == @EPOCHS and seed == 1")
    layers = analysis.by_layer(norms).set_index(["variant", "layer"])["grad_norm"]
    for (variant, layer), own in norms.groupby(["variant", "layer"])["grad_norm"]:
        assert layers[variant, layer] == pytest.approx(np.linalg.norm(own), rel=1e-12)
    alone = norms[~norms["name"].str.contains(".", regex=False)].set_index(["variant", "layer"])["grad_norm"]
    assert (layers[alone.index] == alone).all()


def test_each_log_of_a_step_is_that_of_one_map(ran):
    log = pd.read_parquet(ran / "bottleneck.parquet").query("seed == 0 and step == 1")
    assert len(log) == 3 * DEPTH + 2 and log["grad_norm"].gt(0).all()


def test_what_was_measured_of_every_block_is_a_number_but_for_ratios_without_a_skip(ran):
    probes = pd.read_csv(ran / "probes.csv")
    assert len(probes) == len(VARIANTS) * SEEDS * (EPOCHS + 1) * DEPTH
    gaps = probes.isna().groupby(probes["variant"]).any()
    nothing = {row.block for row in ROWS if row.carry is None}
    expected = {variant for variant, own in VARIANTS.items() if own["block"] in nothing}
    assert {*gaps["branch_ratio"][gaps["branch_ratio"]].index} == expected
    assert not gaps.drop(columns="branch_ratio").any(axis=None)


def test_all_figures_are_drawn(ran):
    names = (
        "activations",
        "decision_boundary",
        "gradient_flow",
        "gradient_heatmap",
        "loss_curves",
        "metrics_by_parameter",
    )
    assert sorted(path.name for path in (ran / "figures").iterdir()) == [
        f"{name}.{ending}" for name in names for ending in ("png", "svg")
    ]
