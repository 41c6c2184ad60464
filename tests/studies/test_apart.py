"""The root and the studies are two projects of DVC: what one holds, or lacks, is nothing to the other."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from filelock import FileLock


@pytest.fixture(scope="session")
def lacking(shared, studied):
    """A fresh clone in which the root alone has run; the study's lock file names outputs that it does not have."""
    clone = replace(studied, root=shared / "clone without studies")
    with FileLock(shared / "lacking.lock"):
        if not clone.root.exists():
            draft = cloned(studied, shared / "draft clone")
            draft.repro()
            draft.root.rename(clone.root)
    study = clone.root / "studies/initialisation"
    assert (study / "dvc.lock").exists() and not (study / "logs").exists()
    assert not (clone.root / "studies/.dvc/cache").exists()
    return clone


def cloned(project, root):
    project.run("git", "clone", "--quiet", project.root, root)
    return replace(project, root=root)


@pytest.fixture
def said(lacking, tmp_path):
    """Run DVC at the root of such a clone; what it says, which must be nothing of studies."""
    clone = lacking.copy(tmp_path / "a fresh clone")

    def run(*command):
        done = clone.run("dvc", *command)
        assert "studies" not in done.stdout + done.stderr, command
        return done.stdout

    run.project = clone
    return run


def test_where_no_study_has_run_the_commands_of_the_root_end_well(said):
    assert "up to date" in said("status")
    for command in (["checkout"], ["commit", "-f"], ["data", "status"], ["params", "diff"], ["metrics", "diff"]):
        said(*command)
    assert "val_accuracy" in said("metrics", "show")
    assert "up to date" in said("status")
    assert said.project.run("git", "status", "--porcelain").stdout == ""


def test_where_no_study_has_run_an_experiment_of_the_root_is_saved_applied_and_shown(said):
    project = said.project
    before = project.run("git", "ls-files", "studies").stdout
    project.change({"plot.dpi": 60})
    said("repro")
    said("exp", "save", "-f", "--name", "saved")
    project.run("git", "reset", "--quiet", "--hard")
    said("checkout")

    said("exp", "apply", "saved")

    assert project.params()["plot"]["dpi"] == 60
    assert "up to date" in said("status")
    assert "saved" in said("exp", "show", "--csv")
    (ref,) = project.run("git", "for-each-ref", "--format=%(refname)", "--", "refs/exps/*/*/saved").stdout.split()
    held = project.run("git", "ls-tree", "-r", "--name-only", ref, "studies").stdout
    assert held == before, "it puts no file of a study into git"


def test_a_study_runs_where_the_root_has_not_and_leaves_no_trace_in_it(studied, tmp_path):
    clone = cloned(studied, tmp_path / "a fresh clone")
    before = clone.run("dvc", "status", "--json").stdout

    study = replace(clone, root=clone.root / "studies/initialisation")
    measurements = {f"measure@{variant}" for variant in study.params()["variants"]}
    assert study.repro() == {"check", "tables"} | measurements, "the figures in git are those of the same tables"

    assert clone.run("dvc", "status", "--json").stdout == before
    assert clone.run("git", "status", "--porcelain").stdout == "", "the same results, to the byte"
    assert not (clone.root / ".dvc/cache").exists()


# What cannot change a result: a file to its text, or to how its text changes.
HARMLESS = {
    "a further block": ("gradflow/blocks/further.py", None),
    "a reworded refusal": ("gradflow/guards/errors.py", ("gradflow: {line}", "gradflow says: {line}")),
    "a reworded rule": ("gradflow/params/explain.py", ("must be a number", "must be some number")),
    "a further key of another study": (
        "studies/identity/params.py",
        ("    probe: Probe", "    probe: Probe\n    far: int = 1"),
    ),
}


@pytest.mark.parametrize("change", HARMLESS)
def test_what_cannot_change_a_result_runs_no_stage_but_check(studied, tmp_path, change):
    project = studied.copy(tmp_path / "a project")
    name, edit = HARMLESS[change]
    path = project.root / name
    if edit:
        text = path.read_text(encoding="utf-8")
        assert text.count(edit[0]) == 1
        path.write_text(text.replace(*edit), encoding="utf-8")
    else:
        shutil.copy(path.with_name("plain.py"), path)

    studies = replace(project, root=project.root / "studies")
    for pipeline, command in ((project, ()), (studies, ("initialisation/dvc.yaml",))):
        changed = json.loads(pipeline.run("dvc", "status", "--json", *command).stdout)
        assert {stage.rpartition(":")[2] for stage in changed} <= {"check"}
        assert {stage.rpartition(":")[2] for stage in pipeline.repro(*command)} <= {"check"}
        assert json.loads(pipeline.run("dvc", "status", "--json", *command).stdout) == {}


def test_what_can_change_a_result_is_seen_in_studies_too(studied, tmp_path):
    project = studied.copy(tmp_path / "a project")
    with (project.root / "gradflow/kit/layers.py").open("a", encoding="utf-8") as file:
        file.write("# a remark\n")
    studies = replace(project, root=project.root / "studies")

    changed = json.loads(studies.run("dvc", "status", "--json", "initialisation/dvc.yaml").stdout)
    assert changed and all("measure@" in stage for stage in changed)
    assert set(json.loads(project.run("dvc", "status", "--json").stdout)) == {"train@plain", "train@residual"}


@pytest.mark.parametrize(
    "module", ["stages.train", "studies.identity.train", "studies.identity.plot", "studies.ledger.page"]
)
def test_importing_writes_nothing_into_folders_that_stages_depend_on(clone, module):
    env = {name: value for name, value in clone.env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    replace(clone, env=env).run("python", "-c", f"import {module}")

    texts = [path.read_text(encoding="utf-8") for path in clone.root.glob("**/dvc.yaml")]
    listed = {
        found for text in texts for found in re.findall(r"- (?:\.\./\.\./)?(gradflow/[\w/]+|data/own)$", text, re.M)
    }
    folders = [clone.root / name for name in listed if (clone.root / name).is_dir()]
    folders += clone.root.glob("studies/*/figures")
    assert len(folders) > 5
    assert not [found for folder in folders for found in folder.rglob("__pycache__")]
