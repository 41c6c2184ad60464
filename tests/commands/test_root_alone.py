"""Commands of DVC in a clone in which the root has run and no study, and in one in which a study alone has."""

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
