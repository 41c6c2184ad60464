"""kill -9 at random moments: the next `dvc repro` gives what an undisturbed run gives, and lost little."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

pytestmark = pytest.mark.campaign

KILLS = 60
SEED = 7
SLACK = 1.0  # seconds, for one step, and for writing the state
TRAININGS = ("train@plain", "train@residual")


@pytest.mark.parametrize("number", range(KILLS))
def test_a_kill_at_a_random_moment_costs_little_and_changes_nothing(number, long_run, tmp_path, shared):
    """Every other kill falls into a training, the rest into all other stages and what DVC does before them."""
    project = long_run.untouched(tmp_path / "a killed project")
    others = [stage for stage in long_run.seconds if stage not in TRAININGS]
    stage = TRAININGS[number // 2 % 2] if number % 2 else others[number // 2 % len(others)]
    moments = random.Random(SEED + number)
    killed = None
    while killed is None:  # the run may be over before
        killed = kill(long_run.start(project), project, stage, moments.random() * long_run.seconds[stage])

    rwlock = project.root / ".dvc/tmp/rwlock"
    killed["torn"] = "rwlock" if rwlock.is_file() and not rwlock.read_text() else None
    if project.run("python", "-m", "pipelines.mend").stderr:  # with the next line, what `make reproduce` does
        killed["torn"] = "dvc.lock"
    again = project.run("dvc", "repro")
    assert long_run.same(project), killed
    assert [path for path in (project.root / ".unfinished").iterdir() if path.suffix != ".part"] == []
    killed["went on"] = again.stdout.count("going on from")
    assert killed["went on"] == killed["half"], again.stdout
    assert project.repro() == set()
    with FileLock(shared / "kills.lock"), (shared / "kills.jsonl").open("a", encoding="utf-8") as table:
        table.write(json.dumps({"number": number} | killed) + "\n")


def kill(running, project, into, moment):
    """Kill `dvc repro` with all that it started, so many seconds after a stage began; None: it was over."""
    running.wait_for(f"Running stage '{into}'" if into != "start" else "")
    time.sleep(moment)
    if running.process.poll() is not None:
        running.end()
        assert running.process.returncode == 0, running.said
        for name in ("data/tracked", "dvc.lock", "mlflow.db"):
            (project.root / name).unlink()
        project.run("git", "clean", "-fdxq")
        return None
    now = running.end(signal.SIGKILL)
    stages = running.stages()
    stage, begun = list(stages.items())[-1]
    folder = project.root / ".unfinished"
    half = list(folder.glob("*.npz"))
    facts = {"stage": stage, "after": round(now - begun, 2), "half": len(half), "lost": None}
    epochs = [(at, line) for at, line in running.said if line.startswith(f"{stage.removeprefix('train@')}: epoch")]
    trained = epochs and re.search(r"epoch (\d+)/\1\b", epochs[-1][1])
    if (half or epochs) and not trained:
        facts["lost"] = round(now - (half[0].stat().st_mtime if half else epochs[0][0]), 2)
        assert facts["lost"] < int(project.env["GRADFLOW_SAVE_SECONDS"]) + SLACK, facts
    return facts


DRIVER = """
import sys
from gradflow.training.unfinished import Unfinished

# As often as a state can be saved at all.
Unfinished.due = lambda self: self._interrupt.number is not None or self._writing is None or self._writing.done()

from stages.train import main
main()
"""


def test_a_kill_while_a_state_is_written_never_leaves_a_damaged_one(long_run, tmp_path):
    project = long_run.untouched(tmp_path / "a project")
    project.change({"depth": 12, "width": 128, "train.epochs": 800, "probe.every": 100})  # a state of some megabytes
    project.run("dvc", "repro", "scale")
    files = ["data/scaled/train.parquet", "data/scaled/val.parquet"]
    outputs = [
        f"residual.{end}"
        for end in ("safetensors", "parquet", "history.parquet", "probe.parquet", "boundary.parquet", "json")
    ]
    command = [sys.executable, "-c", DRIVER, "residual", *files, ".", "."]
    assert "going on" not in project.run(*command).stdout
    results = {name: (project.root / name).read_bytes() for name in outputs}
    folder, moments = project.root / ".unfinished", random.Random(SEED)

    caught, went_on = 0, 0
    while caught < 20:
        process = subprocess.Popen(
            command, cwd=project.root, env=project.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        wait_for_a_part(process, folder)
        time.sleep(moments.random() / 2)  # for a first state, and further epochs
        wait_for_a_part(process, folder)
        process.kill()
        said = process.communicate()[0]
        assert "damaged" not in said and "Traceback" not in said and "end of the training" not in said
        went_on += "going on from epoch" in said
        caught += bool(parts(folder))
        for part in parts(folder):
            part.unlink()
    assert went_on >= caught // 2, "the training never got to a state"

    said = project.run(*command).stdout
    assert "going on from epoch" in said and "damaged" not in said
    assert {name: (project.root / name).read_bytes() for name in outputs} == results


def wait_for_a_part(process, folder):
    while process.poll() is None and not parts(folder):
        time.sleep(0.001)


def parts(folder: Path):
    return list(folder.glob("*.part"))
