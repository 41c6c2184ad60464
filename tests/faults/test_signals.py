"""Real signals: a training saves and says how to go on; other stages end with one line; nothing is half-done."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from gradflow import dataset

ROOT = Path(__file__).parents[2]
ROWS = ["train.parquet", "val.parquet"]
OUTPUTS = [f"residual.{end}" for end in ("safetensors", "parquet", "history.parquet", "probe.parquet", "json")]
SAVED = r"gradflow: stopped by {name}: epoch \d+ of 400 saved, `dvc repro` goes on from there\n"


@pytest.fixture
def folder(tmp_path):
    """Rows and parameters of a training that takes some seconds."""
    write(tmp_path, rows=120, depth=3, width=8, seeds=2, epochs=400, batch_size=32)
    return tmp_path


def write(folder, *, rows, depth, width, seeds, epochs, batch_size):
    document = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    document.update(depth=depth, width=width, seeds=seeds)
    document["train"].update(epochs=epochs, batch_size=batch_size)
    document["probe"].update(samples=32)
    document["data"].update(samples=2 * rows)
    (folder / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    points = np.random.default_rng(0).normal(size=(rows, 2))
    for name in ("train", "val"):
        dataset.write(folder / f"{name}.parquet", points, (points[:, 0] > 0).astype(np.int64))


def start(folder, stage="train", *arguments, **variables):
    command = [sys.executable, "-m", f"stages.{stage}", *(arguments or ("residual", *ROWS, ".", "."))]
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "GRADFLOW_DEVICE": "cpu"} | variables
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)


def finished(folder):
    """Train to the end and return what that leaves, and what it printed."""
    process = start(folder)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    outputs = {name: (folder / name).read_bytes() for name in OUTPUTS}
    for name in outputs:
        (folder / name).unlink()
    return outputs, out


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.campaign)])
def test_a_signal_in_training_saves_ends_within_three_seconds_and_the_next_run_goes_on(folder, name):
    number = signal.Signals[name]
    undisturbed, _ = finished(folder)
    shutil.rmtree(folder / ".unfinished")
    process = start(folder)
    assert "epoch 40/400" in process.stdout.readline()

    before = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate()
    assert time.monotonic() - before < 3

    assert process.returncode == 128 + number
    assert re.fullmatch(SAVED.format(name=name), err), err
    assert sorted(path.name for path in folder.iterdir()) == sorted([".unfinished", "params.yaml", *ROWS])
    again, out = finished(folder)
    assert again == undisturbed
    assert out.startswith("going on from epoch ") and "epoch 40/400" not in out
    assert [path.suffix for path in (folder / ".unfinished").iterdir()] == [".done"]
    outputs, out = finished(folder)  # as if DVC had been killed before it took them
    assert out.startswith("going on from the end of the training") and outputs == undisturbed


def test_a_second_signal_ends_a_training_at_once(tmp_path):
    write(tmp_path, rows=20_000, depth=60, width=64, seeds=2, epochs=3, batch_size=20_000)  # steps of some seconds
    process = start(tmp_path, GRADFLOW_SAVE_SECONDS="1")
    assert "epoch 1/3" in process.stdout.readline()

    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=3)

    assert (process.returncode, err) == (-signal.SIGTERM, "")


@pytest.mark.campaign
@pytest.mark.parametrize("seconds", ["0", "1"])
def test_a_killed_training_has_lost_the_configured_interval_at_most(folder, seconds):
    process = start(folder, GRADFLOW_SAVE_SECONDS=seconds)
    assert "epoch 40/400" in process.stdout.readline()
    time.sleep(1.5)
    process.kill()
    out, _ = process.communicate()
    assert "epoch 600/400" not in out

    states = list((folder / ".unfinished").glob("*.npz")) if seconds == "1" else []
    assert len(states) == int(seconds)
    _, out = finished(folder)
    assert out.startswith("going on from") == bool(states)


@pytest.mark.campaign
def test_another_run_never_takes_the_state_of_other_work(folder):
    process = start(folder)
    process.stdout.readline()
    process.terminate()
    process.communicate()
    [state] = (folder / ".unfinished").iterdir()
    document = (folder / "params.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(document.replace("lr: 0.1", "lr: 0.05"), encoding="utf-8")

    _, out = finished(folder)
    assert "going on" not in out
    assert state.exists()


@pytest.mark.parametrize("delay", [0, 0.4])
@pytest.mark.parametrize(("stage", "name"), [("train", "SIGTERM"), ("plot", "SIGINT")])
def test_a_signal_while_a_stage_imports_what_it_needs_is_one_line(folder, stage, name, delay):
    arguments = [*ROWS, ".", "."] if stage == "train" else [str(number) for number in range(7)]
    process = start(folder, stage, "residual", *arguments)
    while not catches(process.pid, signal.SIGTERM):
        assert process.poll() is None
    time.sleep(delay)
    process.send_signal(signal.Signals[name])
    out, err = process.communicate()

    assert process.returncode == 128 + signal.Signals[name]
    line = f"gradflow: stopped by {name}: nothing was left half-done, `dvc repro` goes on from here\n"
    assert (out, err) == ("", line)


def catches(pid, number):
    """Whether a process has a handler for a signal, as Python itself has none for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = int(re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)[1], 16)
    return mask >> (number - 1) & 1


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_to_dvc_repro_and_all_it_started_costs_nothing(long_run, tmp_path, name):
    project = long_run.untouched(tmp_path / "a stopped project")
    process = subprocess.Popen(
        ["dvc", "repro", "train@plain"], cwd=project.root, env=project.env, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("plain: epoch"):
            break
    os.killpg(process.pid, signal.Signals[name])
    said += process.communicate(timeout=20)[0]
    assert process.returncode != 0
    assert f"gradflow: stopped by {name}: epoch" in said and "Traceback" not in said

    assert "going on from epoch" in project.run("dvc", "repro").stdout
    assert long_run.same(project)
