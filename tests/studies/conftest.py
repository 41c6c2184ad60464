"""The studies of a project of the test's own, small enough that a run is mostly start-up."""

import dataclasses

import pytest

SMALL = {
    "identity": {
        "depth": 3,
        "width": 8,
        "seeds": 2,
        "train.steps": 6,
        "train.batch_size": 16,
        "probe.steps": [2, 4],
    },
    "initialisation": {"depth": 3, "width": 8, "seeds": 3, "inputs.rows": 8, "line.points": 5},
}


@pytest.fixture
def study(fresh, tmp_path):
    """Make the folder of a study in a clone, small, by its name."""

    def make(name):
        clone = fresh.copy(tmp_path / f"a clone for {name}")
        found = dataclasses.replace(clone, root=clone.root / "studies" / name)
        found.change(SMALL[name])
        found.run("git", "commit", "--quiet", "--all", "--message", "Small")
        return found

    return make
