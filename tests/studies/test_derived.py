"""Studies of the same networks: their dvc.yaml is made from the root's, and a new one disturbs nobody."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.study import derived

CHECKOUT = Path(__file__).parents[2]
STAGES = {"check", "fetch", "scale", "train@plain", "train@residual", "gradients", "plot"}


@pytest.mark.parametrize("name", ["depth", "explorer", "norms", "recipe", "zoo"])
def test_a_study_of_the_same_networks_runs_what_the_root_runs(name):
    recipe = (CHECKOUT / "dvc.yaml").read_text(encoding="utf-8")
    made = (CHECKOUT / f"studies/{name}/dvc.yaml").read_text(encoding="utf-8")

    tracked = (CHECKOUT / f"studies/{name}/track.py").exists()
    assert made == derived(recipe, name, tracked=tracked), f"run `python -m pipelines.study {name}`"


def test_a_new_study_runs_all_its_stages_and_leaves_all_others_up_to_date(studied, tmp_path):
    project = studied.copy(tmp_path / "a project")
    assert others(project) == {}

    said = project.run("python", "-m", "pipelines.study", "deeper_2").stdout
    study = replace(project, root=project.root / "studies" / "deeper_2")
    assert said.startswith(
        f"{study.root / 'params.yaml'}: change what the study is about, then run `dvc repro` in its folder;"
    )
    study.change({"depth": 4})
    assert study.repro() == STAGES
    assert study.repro() == set()

    assert others(project) == {}
    numbers = json.loads((study.root / "reports/metrics.json").read_text(encoding="utf-8"))
    assert len(numbers["residual"]["weight_grad_norm_start"]) == 4
    assert {line[:24] for line in project.run("git", "status", "--porcelain").stdout.splitlines()} == {
        "?? studies/deeper_2/"
    }
    untracked = project.run("git", "ls-files", "--others", "--exclude-standard").stdout.splitlines()
    assert {Path(name).suffix for name in untracked} == {".yaml", ".lock", ".json", ".png", ".svg"}

    before = (study.root / "dvc.yaml").read_bytes()
    assert project.run("python", "-m", "pipelines.study", "deeper_2").stdout == ""
    assert (study.root / "dvc.yaml").read_bytes() == before
    assert study.params()["depth"] == 4 and study.repro() == set()


def others(project):
    """What DVC finds changed in the root and in the study that has run."""
    studies = replace(project, root=project.root / "studies")
    root = project.run("dvc", "status", "--json").stdout
    return json.loads(root) | json.loads(studies.run("dvc", "status", "--json", "initialisation/dvc.yaml").stdout)


OWN = "must be a study of the recipe's networks, {} has a pipeline of its own"
SPELT = "must be a lower-case letter followed by up to 39 such letters, digits or _, got {!r}"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *((name, SPELT.format(name)) for name in ("", "Deeper", "1st", "a b", "a-b", "../x", "a/b", "$(id)", "é")),
        ("identity", OWN.format("identity")),
        ("ledger", OWN.format("ledger")),
        ("root", "must not be root, which is what the ledger calls another project of this checkout"),
        ("serving", "must not be serving, which is what the ledger calls another project of this checkout"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_in_one_line(clone, name, rule):
    done = clone.run("python", "-m", "pipelines.study", name, code=2)

    assert (done.stdout, done.stderr) == ("", f"gradflow: NAME: {rule}\n")
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_outside_a_checkout_there_is_no_study_to_make(clone, tmp_path):
    done = replace(clone, root=tmp_path).run(
        "python", "-m", "pipelines.study", "deeper", code=2, PYTHONPATH=str(clone.root)
    )

    assert (
        done.stderr == f"gradflow: {tmp_path}: must lie in a checkout of this project, found no dvc.yaml and studies\n"
    )
