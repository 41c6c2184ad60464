"""The stage train as a process: its display, its device, its files."""

import io
import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gradflow import live
from gradflow.data import dataset
from tests import small

ROOT = Path(__file__).parent.parent
OUTPUTS = [f"residual.{end}" for end in ("safetensors", "parquet", "history.parquet", "probe.parquet", "json")]


@pytest.fixture
def folder(tmp_path):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params.update(depth=3, width=8, seeds=2)
    params["train"].update(epochs=40, batch_size=16)
    params["probe"]["samples"] = 32
    (tmp_path / "params.yaml").write_text(yaml.dump(params, sort_keys=False))
    points = np.random.default_rng(0).normal(size=(60, 2))
    for name in ("train", "val"):
        dataset.write(tmp_path / f"{name}.parquet", points, (points[:, 0] > 0).astype(np.int64))
    return tmp_path


def change(folder, section, **values):
    params = yaml.safe_load((folder / "params.yaml").read_text())
    (params[section] if section else params).update(values)
    (folder / "params.yaml").write_text(yaml.dump(params, sort_keys=False))


def train(folder, variant="residual", **kwargs):
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]} | kwargs.pop("env", {})
    command = [sys.executable, "-m", "stages.train", variant, "train.parquet", "val.parquet", ".", "."]
    return subprocess.run(command, check=False, cwd=folder, env=environment, text=True, **kwargs)


def test_ten_plain_lines_away_from_a_terminal(folder):
    done = train(folder, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 10
    means = pd.read_parquet(folder / "residual.history.parquet").groupby("epoch").mean()
    for number, line in zip(range(4, 41, 4), lines, strict=True):
        loss, accuracy = means.loc[number, ["train_loss", "val_accuracy"]]
        assert line == f"residual: epoch {number}/40, loss {loss:.4g}, accuracy {accuracy:.3f}"


@pytest.mark.parametrize(("norms", "width", "text"), [
    ([1e-3, 1e-1, 10], 20, "1e+01 ┤      ██\n      ┤      ██\n      ┤   ██ ██\n1e-03 ┤▁▁ ██ ██"),
    ([0, 1], 20, "1e+01 ┤\n      ┤\n      ┤\n1e+00 ┤   ▁▁"),
    ([1, 1, 100, 100, 10_000, 10_000, 10_000, 10_000], 12, "1e+04 ┤  ██\n      ┤  ██\n      ┤ ███\n1e+00 ┤▁███"),
])  # fmt: skip
def test_a_bar_is_as_high_as_the_logarithm_and_shared_where_there_are_too_many_layers(norms, width, text):
    from rich.console import Console

    console = Console(width=width, file=io.StringIO())
    console.print(live.Profile(np.array(norms, dtype=float)))
    drawn = console.file.getvalue()
    assert "\n".join(line.rstrip() for line in drawn.splitlines()[:4]) == text
    words = " ".join(drawn.split())
    assert ("no bar: 0" in words, "2 layers a bar, their mean" in words) == (0 in norms, len(norms) > 3)


def test_a_terminal_without_blocks_gets_bars_of_other_letters():
    from rich.console import Console

    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="ascii", write_through=True) as file:
        Console(width=20, file=file).print(live.Profile(np.array([1e-3, 1e-1, 10])))
        drawn = [line.rstrip() for line in written.getvalue().decode("ascii").splitlines()[:4]]
    assert drawn == ["1e+01 |      ##", "      |      ##", "      |   ## ##", "1e-03 |   ## ##"]


def test_a_bar_is_about_all_maps_of_a_layer_in_one_epoch_and_about_seeds_that_still_train():
    network = small.network("linear_terminated", depth=2, seeds=3)
    step = small.step(network, epochs=2)
    step.grad_norm.fill_(1.0)
    later = step.grad_norm[len(step.grad_norm) // 2 :]
    for seed, norm in enumerate((3.0, math.nan, 5.0)):
        later[::2, seed], later[1::2, seed] = norm - 1, norm + 1
    step.alive[1] = False
    maps = Counter(each.layer for each in network.linear_maps())
    assert max(maps.values()) > 1
    assert live.by_layer(step, 2, 2) == pytest.approx([4 * maps[layer] ** 0.5 for layer in sorted(maps)])


def test_diverged_seeds_are_said_and_are_no_failure(folder):
    change(folder, None, depth=20)
    change(folder, "train", clip_norm=None, lr=10)
    done = train(folder, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 of 2 seeds diverged" in done.stdout.splitlines()[-1]
    assert [entry["seed"] for entry in json.loads((folder / "residual.json").read_text())["diverged"]] == [0, 1]
    for name in OUTPUTS[1:4]:
        table = pd.read_parquet(folder / name)
        assert np.isfinite(table.select_dtypes("number").to_numpy(dtype=float)).all()


@pytest.mark.parametrize(
    ("width", "optimizer", "compiler", "step", "said"),
    [
        (16, "sgd", "cc", "C", ""),
        (16, "sgd", "false", "PyTorch", "residual: no C compiler works here (cc, or what CC names), "
         "or what it makes cannot be kept: training takes longer\n"),
        (8, "sgd", "false", "PyTorch", ""),  # C could not take these steps anyway
        (16, "adam", "cc", "PyTorch", ""),
    ],
)  # fmt: skip
def test_who_takes_the_steps_is_recorded_and_what_is_slow_is_said(folder, width, optimizer, compiler, step, said):
    change(folder, None, width=width)
    change(folder, "train", optimizer=optimizer)
    done = train(folder, env={"CC": compiler}, capture_output=True)

    assert (done.returncode, done.stderr) == (0, said)
    assert json.loads((folder / "residual.json").read_text())["step"] == step


def test_seeds_with_batches_of_their_own_are_trained_so_and_it_is_recorded(folder):
    losses = {}
    for order in ("shared", "own"):
        change(folder, "train", order=order)
        assert train(folder, capture_output=True).returncode == 0
        assert json.loads((folder / "residual.json").read_text())["train"].get("order", "shared") == order
        table = pd.read_parquet(folder / "residual.history.parquet")
        losses[order] = [*table[table["seed"] == 0]["train_loss"]], [*table[table["seed"] == 1]["train_loss"]]

    assert losses["own"][0] == losses["shared"][0], "seed 0 has the order that all share"
    assert losses["own"][1] != losses["shared"][1]


def test_both_device_and_threads_are_recorded(folder):
    done = train(folder, env={"GRADFLOW_DEVICE": "cpu", "GRADFLOW_THREADS": "2"}, capture_output=True)
    assert done.returncode == 0
    facts = json.loads((folder / "residual.json").read_text())
    assert (facts["device"], facts["threads"]) == ("cpu", 2)


@pytest.mark.parametrize(
    ("variable", "value", "rule"),
    [
        ("GRADFLOW_DEVICE", "tpu", "must be cpu or cuda, got 'tpu'"),
        ("GRADFLOW_THREADS", "0", "must be a whole number from 1 to 1024, got '0'"),
        ("GRADFLOW_THREADS", "two", "must be a whole number from 1 to 1024, got 'two'"),
    ],
)
def test_unusable_environment_is_one_line(folder, variable, value, rule):
    done = train(folder, env={variable: value}, capture_output=True)
    assert (done.returncode, done.stderr) == (2, f"gradflow: environment: {variable}: {rule}\n")
    assert not any((folder / name).exists() for name in OUTPUTS)


def test_cuda_where_there_is_none_is_one_line(folder):
    # Hiding the devices makes this true on a machine with a GPU as well.
    done = train(folder, env={"GRADFLOW_DEVICE": "cuda", "CUDA_VISIBLE_DEVICES": ""}, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith("gradflow: environment: GRADFLOW_DEVICE: must be cpu where PyTorch finds no GPU")


@pytest.mark.parametrize(("section", "key"), [("train", "batch_size"), ("probe", "samples")])
def test_more_rows_asked_for_than_there_are_is_one_line(folder, section, key):
    change(folder, section, **{key: 61})
    done = train(folder, capture_output=True)
    assert done.returncode == 2
    assert (
        done.stderr == f"gradflow: params.yaml: {section}.{key}: must be <= 60, the rows of the train split, got 61\n"
    )


def test_missing_data_is_one_line(folder):
    (folder / "val.parquet").unlink()
    done = train(folder, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith("gradflow: val.parquet: is missing; run `dvc repro`")
    assert done.stderr.count("\n") == 1


def test_unknown_variant_is_one_line(folder):
    done = train(folder, variant="nothing", capture_output=True)
    assert done.returncode == 2
    assert done.stderr == "gradflow: params.yaml: variants: must have an entry 'nothing', got plain, residual\n"
