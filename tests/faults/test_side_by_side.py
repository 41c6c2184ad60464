"""Several at once in one checkout: right results or one clear line, never a mixture.

Flows beside each other and beside DVC: tests/flows/test_flow_reproduce.py. Experiments that track at once:
tests/tracking/test_runs.py.
"""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]

# A stage that notes whatever it finds in params.yaml until it is let go; nobody holds it in an experiment's copy.
STAGE = """
import time
from pathlib import Path

def found():
    try:
        return Path("params.yaml").read_text()
    except OSError as error:
        return repr(error)

seen = {found(): None}
Path("in.log").touch()
while Path("hold.log").exists():
    seen[found()] = None
    time.sleep(0.002)
Path("seen.txt").write_text("".join(seen))
"""
PIPELINE = {
    "stages": {"watch": {"cmd": "python -m stages.watch", "params": ["a"], "deps": ["stages"], "outs": ["seen.txt"]}}
}


@pytest.fixture
def toy(fresh, tmp_path):
    """A repository of git and DVC with one stage, which runs as stages do; its params.yaml has been edited."""
    project = replace(fresh, root=tmp_path / "a toy")
    shutil.copytree(CHECKOUT / "gradflow", project.root / "gradflow")
    (project.root / "stages").mkdir()
    shutil.copy(CHECKOUT / "stages/__init__.py", project.root / "stages")
    (project.root / "stages/watch.py").write_text(STAGE)
    (project.root / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    (project.root / "params.yaml").write_text("a: 1\n")
    (project.root / ".gitignore").write_text("*.log\n/seen.txt\n__pycache__/\n")
    (project.root / ".dvcignore").write_text("__pycache__/\n")
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("dvc", "init", "--quiet")
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", "Toy")
    (project.root / "params.yaml").write_text("a: 2\n")
    (project.root / "hold.log").touch()
    return project


def test_no_experiment_changes_the_files_beneath_a_running_stage(toy, started, eventually, campaign):
    repro = started(toy, "dvc", "repro")
    eventually((toy.root / "in.log").exists)
    before = toy.run("git", "status", "--porcelain").stdout
    for where in [["--temp"], ["--queue"], []] if campaign else [["--temp"]]:
        done = toy.run("dvc", "exp", "run", *where, "-S", "a=7", code=255)
        assert "ERROR: 'workspace' is busy, it is being blocked by:\n  (PID " in done.stderr
        assert "): python -m stages.watch\n" in done.stderr
    assert toy.run("dvc", "repro", code=255).stderr.count("is busy, it is being blocked by:") == 1
    assert toy.run("git", "status", "--porcelain").stdout == before

    (toy.root / "hold.log").unlink()
    assert repro.wait() == 0, repro.log.read_text()
    assert (toy.root / "seen.txt").read_text() == "a: 2\n"
    assert toy.lock()["stages"]["watch"]["params"]["params.yaml"] == {"a": 2}
    assert not json.loads((toy.root / ".dvc/tmp/exps/rwlock").read_text())["read"], "it is in nobody's way any more"


def test_a_stage_waits_until_an_experiment_has_put_the_files_back(toy, started, eventually, catches, campaign):
    hold = """if True:
        import sys
        from dvc.repo import Repo
        from dvc.repo.experiments.utils import get_exp_rwlock
        with get_exp_rwlock(Repo(), writes=["workspace"]):
            print("held", flush=True)
            sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", hold],
        cwd=toy.root,
        env=toy.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as experiment:
        assert experiment.stdout.readline() == "held\n"
        stage = started(toy, "python", "-m", "stages.watch")
        eventually(lambda: catches(stage.pid, signal.SIGTERM))  # the next that it does is to wait
        time.sleep(0.5)
        assert not (toy.root / "in.log").exists() and stage.poll() is None
        if campaign:
            eventually(lambda: f"gradflow: waiting for process {experiment.pid}: " in stage.log.read_text())
        experiment.stdin.close()
        eventually((toy.root / "in.log").exists)
    stage.send_signal(signal.SIGKILL)
    stage.wait()

    # One that was killed is in nobody's way.
    (toy.root / "hold.log").unlink()
    assert "Ran experiment" in toy.run("dvc", "exp", "run", "--temp", "-S", "a=7").stdout


DEEPER = ("-S", "depth=5")


@pytest.fixture(scope="module")
def deeper(fresh, tmp_path_factory):
    """What an experiment gives alone."""
    project = fresh.copy(tmp_path_factory.mktemp("alone") / "an experiment")
    project.run("dvc", "exp", "run", "--temp", *DEEPER)
    return experiment(project)


def experiment(project):
    """The dvc.lock of the only experiment of a project."""
    (commit,) = project.run("git", "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/*").stdout.split()
    return yaml.safe_load(project.run("git", "show", f"{commit}:dvc.lock").stdout)


@pytest.mark.campaign
@pytest.mark.parametrize("stage", ["check", "fetch", "train@plain", "gradients", "plot", "track"])
@pytest.mark.parametrize("other", ["repro", "temp", "queue"])
def test_beside_another_command_of_dvc_results_are_right_or_a_line_says_why_not(
    clone, finished, started, eventually, deeper, stage, other
):
    """Both start from nothing, the other one at a random moment after a stage has begun."""
    wait = random.Random(f"{other} {stage}").random()
    commands = {
        "repro": ["dvc", "repro"],
        "temp": ["dvc", "exp", "run", "--temp", *DEEPER],
        "queue": ["dvc", "exp", "run", "--queue", *DEEPER],
    }
    first = started(clone, "dvc", "repro")
    eventually(lambda: f"Running stage '{stage}'" in first.log.read_text(), pause=0.05)
    time.sleep(wait)
    assert first.poll() is None
    second = started(clone, *commands[other])
    second.wait()
    if other == "queue" and second.returncode == 0:
        clone.run("dvc", "queue", "start")
        eventually(lambda: not {"Running", "Queued"} & set(clone.run("dvc", "queue", "status").stdout.split()), 300)
        clone.run("dvc", "queue", "stop", "--kill")
    first.wait()
    for process in (first, second):
        said = process.log.read_text()
        print(f"{wait:.1f} s into {stage}: {other}: exit {process.returncode}\n{said[-600:]}")
        assert "Traceback" not in said
        if process.returncode:
            assert "is busy, it is being blocked by:" in said or "Unable to acquire lock" in said
    if other != "repro" and second.returncode == 0:
        assert experiment(clone) == deeper
    assert clone.run("git", "diff", "--stat", "params.yaml").stdout == ""
    clone.run("dvc", "repro")
    assert clone.lock() == finished.lock()


@pytest.mark.campaign
def test_the_same_stage_twice_by_hand_leaves_the_results_of_one(project, started):
    stage = project.lock()["stages"]["train@plain"]
    command = ["env", "DVC_STAGE=train@plain", "sh", "-c", stage["cmd"]]
    outputs = [project.root / out["path"] for out in stage["outs"]]
    right = [path.read_bytes() for path in outputs]
    for path in outputs:
        path.unlink()
    both = [started(project, *command) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], [process.log.read_text() for process in both]
    assert [path.read_bytes() for path in outputs] == right
    assert not [*project.root.rglob("*.part")]
