"""The studies of a project of the test's own, small enough that a run is mostly start-up."""

import dataclasses

import pytest


@pytest.fixture
def study(fresh, small_studies, tmp_path):
    """Make the folder of a study in a clone, small, by its name."""

    def make(name):
        clone = fresh.copy(tmp_path / f"a clone for {name}")
        found = dataclasses.replace(clone, root=clone.root / "studies" / name)
        found.change(small_studies[name])
        found.run("git", "commit", "--quiet", "--all", "--message", "Small")
        return found

    return make
