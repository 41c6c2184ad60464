"""Experiments of somebody else: one that cannot be read is one line, and the others are tracked."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from gradflow import checkpoints
from gradflow.guards.errors import RunError
from pipelines import track_all

ALL = ("python", "-m", "pipelines.track_all")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own


def written(project, path, content):
    """Put a file into DVC's cache, and its MD5 into dvc.lock wherever it is named."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    place = project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)

    def change(lock):
        for stage in lock["stages"].values():
            for entry in stage.get("deps", []) + stage.get("outs", []):
                if entry["path"] == path:
                    entry.update(md5=md5, size=len(content))

    return change


def checkpoint(project, **config):
    """The checkpoint of the plain network, whole but of another configuration."""
    path = project.root / "models/plain.safetensors"
    with safe_open(path, framework="pt") as file:
        carried = json.loads(file.metadata()["config"])["config"]
    network = checkpoints.load(path)
    tensors = load_file(path)
    for name, parameter in network.named_parameters():
        parameter.data = tensors[name]
    if "width" in config:
        network.stem.bias.data = network.stem.bias.data[:, 1:]
        config = {}
    draft = project.root.parent / "draft.safetensors"
    checkpoints.save(draft, network, carried | config)
    return written(project, "models/plain.safetensors", draft.read_bytes())


def csv(project):
    lines = (project.root / "reports/history.csv").read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].replace(",0,", f",{'9' * 20},", 1)
    return written(project, "reports/history.csv", "\n".join([*lines, ""]).encode())


def track(**values):
    return lambda lock: lock["stages"]["track"].update(values)


# Name of an experiment to what is odd about it, and what is said of it.
ODD = {
    "no-stages": (lambda _: lambda lock: lock.pop("stages"), None),
    "no-name": (lambda _: lambda lock: lock["stages"]["track"]["deps"].append({"path": ""}), "names '', which"),
    "a-nul": (lambda _: lambda lock: lock["stages"]["track"]["deps"].append({"path": "\0"}), r"names '\x00', which"),
    "commands": (lambda _: track(cmd=["python", "-m"]), "names no outputs in the command ['python', '-m']"),
    "a-quote": (lambda _: track(cmd="python -m stages.track 'data"), "names no outputs in the command"),
    "nested": (lambda project: written(project, "logs/plain.json", b"[" * 100_000), "logs/plain.json: cannot be read"),
    "digits": (csv, "reports/history.csv: cannot be read"),
    "deep": (lambda project: checkpoint(project, depth=10**9), "was trained with depth 1000000000, params.yaml says 3"),
    "equal": (lambda project: checkpoint(project, depth=3.0), "was trained with depth 3.0, params.yaml says 3"),
    "narrow": (lambda project: checkpoint(project, width=7), "has weights that do not fit its configuration"),
}


def test_an_odd_experiment_is_one_line_and_does_not_stop_the_others(tracked, look, tmp_path):
    project = tracked.copy(tmp_path / "a project")
    (project.root / "mlflow.db").unlink()
    base = project.run("git", "rev-parse", "HEAD").stdout.strip()
    for name, (change, _) in {**ODD, "whole": (lambda _: lambda lock: None, None)}.items():
        path = project.root / "dvc.lock"
        lock = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(project)(lock)
        path.write_text(yaml.safe_dump(lock), encoding="utf-8")
        project.run("git", "commit", "--quiet", "--all", "--allow-empty", "--message", name)
        project.run("git", "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", "HEAD")
        project.run("git", "reset", "--quiet", "--hard", base)

    for already in ("", "already "):  # an odd one leaves nothing that the next one trips over
        done = project.run(*ALL, code=1)

        said = done.stderr.removeprefix(f"gradflow: {len(ODD) - 1} not tracked: ").rstrip("\n").split("; ")
        assert done.stderr.count("\n") == 1
        for name, (_, line) in ODD.items():
            if line is None:
                assert f"{name}: has no result of this pipeline\n" in done.stdout
            else:
                assert any(part.startswith(f"{name}: ") and line in part for part in said), (name, done.stderr)
        assert all(f"{name}: {already}tracked\n" in done.stdout for name in ("depth-4", "depth-8", "whole"))
    view = look(project.root)
    assert set(view.parents) == {"depth-4", "depth-8", "whole"}


def test_experiments_of_a_project_in_a_folder_of_a_larger_repository_are_found(project, tmp_path):
    top = replace(project, root=tmp_path / "larger")
    top.root.mkdir()
    within = replace(project.copy(top.root / "some project"), env=project.env | {"MLFLOW_TRACKING_URI": ""})
    shutil.rmtree(within.root / ".git")
    (within.root / "mlflow.db").unlink(missing_ok=True)
    top.run("git", "init", "--quiet", "--initial-branch=main")
    top.run("git", "add", "--all")
    top.run("git", "commit", "--quiet", "--message", "Results")
    within.run("dvc", "exp", "run", "--temp", "--name", "smaller", "-S", "plot.dpi=60")
    (within.root / "mlflow.db").unlink()

    assert within.run(*ALL).stdout == "smaller: tracked\nworkspace: tracked\n"


def test_a_lock_of_a_thousand_variants_is_read_and_a_bomb_is_not(tmp_path):
    stage = {"cmd": "train", "deps": [{"path": f"file {n}", "hash": "md5", "md5": "0" * 32} for n in range(40)]}
    lock = {"schema": "2.0", "stages": {f"train@v{n}": {**stage, "deps": [*stage["deps"]]} for n in range(300)}}
    path = tmp_path / "dvc.lock"
    text = json.dumps(lock)
    path.write_text(text, encoding="utf-8")
    assert track_all._read(path) == lock

    path.write_text(f"a: &a {text}\n" + "b: [" + "*a, " * 10 + "]\n", encoding="utf-8")
    with pytest.raises(RunError, match="holds too much"):
        track_all._read(path)


@pytest.mark.parametrize("text", ["stages: all", "stages: {track: {}}", "stages: {track: {cmd: a, deps: [{}]}}"])
def test_a_lock_of_another_form_is_one_line(tmp_path, text):
    path = tmp_path / "dvc.lock"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(RunError, match=r"its dvc\.lock cannot be read: stages"):
        track_all._read(path)
