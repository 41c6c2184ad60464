"""The studies of a project of the test's own, small enough that a run is mostly start-up."""

import dataclasses

import pytest
from filelock import FileLock


@pytest.fixture(scope="session")
def studied(shared, finished, small_studies):
    """A project in which the root and one study have run, committed. Not to be changed, only copied or cloned."""
    project = dataclasses.replace(finished, root=shared / "project with a study")
    with FileLock(shared / "studied.lock"):
        if not project.root.exists():
            draft = finished.copy(shared / "draft with a study")
            study = dataclasses.replace(draft, root=draft.root / "studies" / "initialisation")
            variants = {name: start for name, start in study.params()["variants"].items() if name.endswith("_he")}
            study.change(small_studies["initialisation"] | {"variants": variants})
            study.run("dvc", "repro")
            draft.run("git", "add", "--all")
            draft.run("git", "commit", "--quiet", "--message", "Results of a study")
            draft.root.rename(project.root)
    return project
