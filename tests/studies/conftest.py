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
    "recipe": {
        "depth": 3,
        "width": 8,
        "seeds": 2,
        "data.samples": 120,
        "train.epochs": 2,
        "train.batch_size": 32,
        "probe.samples": 32,
        "probe.every": 1,
        "plot.dpi": 50,
        "variants": {
            "plain": {"block": "plain"},
            "own": {"block": "residual", "depth": 5, "train": {"init": "he", "lr": 0.05, "clip_norm": 1.0}},
        },
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
