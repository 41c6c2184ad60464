"""Whether the results in git belong to the code and the parameters in git."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def in_git(fresh, tmp_path_factory):
    """What git holds of this project, results and lock files included, in a clone of its own: DVC writes into it."""
    clone = type(fresh)(tmp_path_factory.mktemp("in git") / "a clone", fresh.env)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if (CHECKOUT / name).is_file():
            (clone.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, clone.root / name)
    clone.run("git", "init", "--quiet")
    clone.run("git", "add", "--all")
    return clone


@pytest.mark.parametrize("project", [".", "studies", "serving"])
def test_results_in_git_are_those_of_the_code_and_the_parameters_in_git(in_git, project):
    """To DVC nothing has changed since they were made; it misses what only its cache holds."""
    folder = replace(in_git, root=in_git.root / project)
    changed = {
        f"{stage}: {what}"
        for stage, entries in json.loads(folder.run("dvc", "status", "--json").stdout).items()
        for entry in entries
        for what in said(entry, folder)
        if what != "always changed"  # a stage that looks outside of DVC's sight
    }

    assert not changed, f"run `make studies` and commit what it makes: {sorted(changed)}"


def said(entry, folder):
    """What DVC says of a stage, but for the files that are not in git."""
    if isinstance(entry, str):
        return [entry]
    return [
        f"{path}: {state}"
        for states in entry.values()
        for path, state in states.items()
        if state not in ("deleted", "not in cache") or folder.run("git", "ls-files", path).stdout
    ]
