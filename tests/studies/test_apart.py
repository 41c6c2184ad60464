"""The root and the studies are two projects of DVC: what one holds, or lacks, is nothing to the other."""

import json
import re
import shutil
from dataclasses import replace

import pytest

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
