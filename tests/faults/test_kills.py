"""kill -9 at random moments: the next `dvc repro` gives what an undisturbed run gives, and lost little."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

KILLS = 60
SEED = 7
INTERVAL = 1.0  # seconds: GRADFLOW_SAVE_SECONDS of the long run
SLACK = 1.0  # for one epoch, and for writing the state


@pytest.mark.parametrize("number", [0, *(pytest.param(n, marks=pytest.mark.campaign) for n in range(1, KILLS))])
def test_a_kill_at_a_random_moment_costs_little_and_changes_nothing(number, long_run, tmp_path, shared, campaign):
    project = long_run.untouched(tmp_path / "a killed project")
    moments = random.Random(SEED + number)
    share = moments.random() if campaign else 0.5
    killed = None
    while killed is None:  # the run may be over before
        killed = kill(project, share * long_run.seconds)
        share = moments.random()

    again = project.run("dvc", "repro").stdout
    assert long_run.same(project), f"killed at {killed['moment']:.2f} s in {killed['stage']}"
    assert not any((project.root / ".unfinished").iterdir())
    assert killed["half"] <= again.count("going on from") <= killed["states"]
    assert project.repro() == set()
    with FileLock(shared / "kills.lock"), (shared / "kills.jsonl").open("a", encoding="utf-8") as table:
        table.write(json.dumps({"number": number} | killed) + "\n")


def kill(project, moment):
    """Start `dvc repro` and kill it with all that it started after so many seconds."""
    started = time.monotonic()
    process = subprocess.Popen(
        ["dvc", "repro"], cwd=project.root, env=project.env, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said = []
    reader = threading.Thread(target=lambda: said.extend((time.time(), line) for line in process.stdout))
    reader.start()
    time.sleep(max(0.0, moment - (time.monotonic() - started)))
    over = process.poll() is not None
    os.killpg(process.pid, signal.SIGKILL) if not over else None
    now = time.time()
    process.wait()
    reader.join()
    process.stdout.close()
    if over:
        assert process.returncode == 0
        for name in ("data/tracked", "dvc.lock", "mlflow.db"):
            (project.root / name).unlink()
        project.run("git", "clean", "-fdxq")
        return None
    stages = [match[1] for _, line in said if (match := re.match(r"Running stage '(\S+)'", line))]
    states = list(project.root.glob(".unfinished/*[!t]"))  # no .part
    half = [state for state in states if state.suffix == ".npz"]
    stage = stages[-1] if stages else "before the first"
    facts = {"moment": round(moment, 2), "stage": stage, "half": len(half), "states": len(states), "lost": None}
    epochs = [at for at, line in said if line.startswith(f"{stage.removeprefix('train@')}: epoch")]
    if stage.startswith("train@") and (states or epochs):
        lost = now - max([state.stat().st_mtime for state in states], default=epochs[0])
        facts["lost"] = round(lost, 2)
        assert lost < INTERVAL + SLACK, facts
    return facts


DRIVER = """
import sys
from gradflow.unfinished import Unfinished

# As often as a state can be saved at all.
Unfinished.due = lambda self: self._interrupt.number is not None or self._writing is None or self._writing.done()

from stages.train import main
main()
"""


@pytest.mark.campaign
def test_a_kill_while_a_state_is_written_never_leaves_a_damaged_one(long_run, tmp_path):
    project = long_run.untouched(tmp_path / "a project")
    project.change({"depth": 12, "width": 128, "train.epochs": 60, "probe.every": 30})  # a state of some megabytes
    project.run("dvc", "repro", "scale")
    files = ["data/scaled/train.parquet", "data/scaled/val.parquet"]
    outputs = [f"residual.{end}" for end in ("safetensors", "parquet", "history.parquet", "probe.parquet", "json")]
    command = [sys.executable, "-c", DRIVER, "residual", *files, ".", "."]
    undisturbed = project.run(*command).stdout
    assert "going on" not in undisturbed
    results = {name: (project.root / name).read_bytes() for name in outputs}

    folder, caught, went_on = project.root / ".unfinished", 0, 0
    while caught < 20:
        process = subprocess.Popen(
            command, cwd=project.root, env=project.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        wait_for_a_part(process, folder)
        time.sleep(random.Random(SEED + caught).random() / 2)  # for a first state, and further epochs
        wait_for_a_part(process, folder)
        process.kill()
        said = process.communicate()[0]
        assert "damaged" not in said and "Traceback" not in said
        went_on += "going on from" in said
        caught += bool(parts(folder))
        for part in parts(folder):
            part.unlink()

    said = project.run(*command).stdout
    assert went_on >= caught // 2, "the training never got to a state"
    assert "damaged" not in said
    assert {name: (project.root / name).read_bytes() for name in outputs} == results


def wait_for_a_part(process, folder):
    while process.poll() is None and not parts(folder):
        time.sleep(0.001)


def parts(folder: Path):
    return list(folder.glob("*.part"))
