"""Real signals: a training saves and says how to go on; other stages end with one line; nothing is half-done."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from gradflow.data import dataset

ROOT = Path(__file__).parents[2]
ROWS = ["train.parquet", "val.parquet"]
OUTPUTS = [
    f"residual.{end}"
    for end in ("safetensors", "parquet", "history.parquet", "probe.parquet", "boundary.parquet", "json")
]
SAVED = r"gradflow: stopped by {name}: epoch \d+ of 1200 saved, `dvc repro` goes on from there\n"


@pytest.fixture
def folder(tmp_path):
    """Rows and parameters of a training that takes some seconds."""
    write(tmp_path, rows=120, depth=3, width=16, seeds=2, epochs=1200, batch_size=32)
    return tmp_path


def write(folder, *, rows, depth, width, seeds, epochs, batch_size):
    (folder / ".git").touch()  # a checkout begins here, whatever lies above
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
def test_a_signal_in_training_saves_ends_within_three_seconds_and_the_next_run_goes_on(folder, campaign, name):
    number = signal.Signals[name]
    undisturbed, _ = finished(folder)
    process = start(folder)
    assert "epoch 120/1200" in process.stdout.readline()

    before = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate()
    assert time.monotonic() - before < (3 if campaign else 10)  # beside other tests all takes longer

    assert process.returncode == 128 + number
    assert re.fullmatch(SAVED.format(name=name), err), err
    assert sorted(path.name for path in folder.iterdir()) == sorted([".git", ".unfinished", "params.yaml", *ROWS])
    again, out = finished(folder)
    assert again == undisturbed
    assert out.startswith("going on from epoch ") and "epoch 120/1200" not in out
    assert not any((folder / ".unfinished").iterdir())


def test_a_second_signal_ends_a_training_at_once():
    sleeping = """if True:
        import time
        from gradflow.guards import interrupts
        with interrupts.noticed() as interrupt:
            print("in", flush=True)
            while interrupt.number is None:  # a sleep goes on after a signal
                time.sleep(0.01)
            print("noted", flush=True)
            time.sleep(20)
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", sleeping], cwd=ROOT, text=True, **pipes) as process:
        for line in ("in\n", "noted\n"):
            assert process.stdout.readline() == line
            process.send_signal(signal.SIGTERM)
        _, err = process.communicate()

    assert (process.returncode, err) == (-signal.SIGTERM, "")


@pytest.mark.parametrize("seconds", [pytest.param("0", marks=pytest.mark.campaign), "1"])
def test_a_killed_training_has_lost_the_configured_interval_at_most(tmp_path, campaign, seconds):
    write(tmp_path, rows=120, depth=3, width=16, seeds=2, epochs=16_000, batch_size=32)  # a line of ten takes a second
    process = start(tmp_path, GRADFLOW_SAVE_SECONDS=seconds)
    printed = []  # when, and the epoch
    killer = threading.Timer(2.5, process.kill)
    for line in process.stdout:
        printed.append((time.monotonic(), int(re.search(r"epoch (\d+)/16000", line)[1])))
        if len(printed) == 1:
            killer.start()
    _, err = process.communicate()
    killed = time.monotonic()
    assert (process.returncode, err) == (-signal.SIGKILL, "")

    states = list((tmp_path / ".unfinished").glob("*.npz"))
    again = start(tmp_path)
    out = again.stdout.readline()
    again.kill()
    again.communicate()
    if seconds == "0":
        assert not states and out.startswith("residual: epoch 1600/16000")
    else:
        going_on = int(re.match(r"going on from epoch (\d+) of 16000", out)[1])
        print(f"{printed[-1][1]} epochs were printed, {going_on} kept")
        slack = 1 if campaign else 5  # to write it; beside other tests all takes longer
        assert going_on >= max((epoch for when, epoch in printed if when < killed - 1 - slack), default=1)


@pytest.mark.campaign
@pytest.mark.parametrize("other", ["parameters", "processor"])
def test_another_run_never_takes_the_state_of_other_work(folder, other):
    process = start(folder)
    process.stdout.readline()
    process.terminate()
    process.communicate()
    [state] = (folder / ".unfinished").iterdir()
    variables = {}
    if other == "parameters":
        document = (folder / "params.yaml").read_text(encoding="utf-8")
        (folder / "params.yaml").write_text(document.replace("lr: 0.1", "lr: 0.05"), encoding="utf-8")
    else:
        variables = {"ATEN_CPU_CAPABILITY": "default"}  # PyTorch then takes this one for an old processor

    again = start(folder, **variables)
    out, _ = again.communicate()
    assert again.returncode == 0 and "going on" not in out
    assert state.exists()


@pytest.mark.parametrize("moment", ["first", "later"])
@pytest.mark.parametrize(
    ("stage", "name", "library"), [("train", "SIGTERM", "libtorch_cpu"), ("plot", "SIGINT", "libarrow")]
)
def test_a_signal_while_a_stage_imports_what_it_needs_is_one_line(
    folder, eventually, catches, stage, name, library, moment
):
    arguments = [*ROWS, ".", "."] if stage == "train" else [str(number) for number in range(7)]
    process = start(folder, stage, "residual", *arguments)
    eventually(lambda: catches(process.pid, signal.SIGTERM), pause=0.01)
    if moment == "later":  # a second of Python follows
        eventually(lambda: library in Path(f"/proc/{process.pid}/maps").read_text(), pause=0.01)
    process.send_signal(signal.Signals[name])
    out, err = process.communicate()

    assert process.returncode == 128 + signal.Signals[name]
    line = f"gradflow: stopped by {name}: nothing was left half-done, `dvc repro` goes on from here\n"
    assert (out, err) == ("", line)


def test_a_signal_after_the_terminal_has_gone_has_its_exit_code_too(folder, eventually, catches):
    process = start(folder, "train", "residual", *ROWS, ".", ".")
    process.stderr.close()
    eventually(lambda: catches(process.pid, signal.SIGTERM), pause=0.01)
    process.terminate()

    assert process.wait() == 128 + signal.SIGTERM
    process.stdout.close()


@pytest.mark.campaign
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 255), ("SIGTERM", -signal.SIGTERM)])
def test_a_signal_to_dvc_repro_and_all_it_started_costs_nothing(long_run, tmp_path, name, code):
    project = long_run.untouched(tmp_path / "a stopped project")
    running = long_run.start(project)
    running.wait_for("plain: epoch")
    sent = running.end(signal.Signals[name])  # what it started has ended, too: it would hold the pipe
    assert time.time() - sent < 3
    said = "".join(line for _, line in running.said)
    assert running.process.returncode == code
    assert f"gradflow: stopped by {name}: epoch" in said and "Traceback" not in said

    assert "going on from epoch" in project.run("dvc", "repro").stdout
    assert long_run.same(project)


@pytest.mark.campaign
def test_an_experiment_goes_on_with_what_was_stopped_in_its_checkout(long_run, tmp_path):
    project = long_run.untouched(tmp_path / "a stopped project")
    running = long_run.start(project)
    running.wait_for("plain: epoch")
    running.end(signal.SIGTERM)

    assert "going on from epoch" in project.run("dvc", "exp", "run", "--temp", "-S", "plot.dpi=60").stdout
