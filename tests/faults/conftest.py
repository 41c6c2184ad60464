"""Short in `make test`; `make test-faults` asks for the campaign: more of everything, and what takes minutes."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock


def pytest_addoption(parser):
    parser.addoption("--campaign", action="store_true", help="all faults instead of a few of each kind")


@pytest.fixture(scope="session")
def campaign(request):
    """Whether this is the long form."""
    return request.config.getoption("--campaign", default=False)


def pytest_collection_modifyitems(config, items):
    """Leave out what is marked for the campaign alone."""
    if config.getoption("--campaign", default=False):
        return
    left = [item for item in items if item.get_closest_marker("campaign")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


@dataclass(frozen=True)
class LongRun:
    """A project whose trainings take some seconds each, as cloned and never run, and what an undisturbed run gave.

    Attributes:
        seconds: How long that took.
        results: What its dvc.lock said.
    """

    fresh: object
    seconds: float
    results: dict

    def untouched(self, root):
        """The project in a folder of one's own, with a tracking database of its own."""
        copy = self.fresh.copy(root)
        return type(copy)(copy.root, copy.env | private(root))

    def same(self, project):
        """Whether the results of a project are those of the undisturbed run."""
        return lock(project.root) == self.results


def lock(root):
    """A dvc.lock; the order of its stages is that in which they happened to run."""
    return yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))


def private(root):
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db", "GRADFLOW_SAVE_SECONDS": "1"}


@pytest.fixture(scope="session")
def long_run(shared, fresh, finished, campaign):
    """See :class:`LongRun`; the short form takes the run that there is, whose trainings are over in no time."""
    if not campaign:
        return LongRun(fresh, 12.0, lock(finished.root))
    root, facts = shared / "long project", shared / "long.json"
    with FileLock(shared / "long.lock"):
        if not facts.exists():
            draft = fresh.copy(root)
            draft.change({"train.epochs": 600, "probe.every": 4})
            draft.run("git", "commit", "--all", "--quiet", "--message", "Longer")
            run = draft.copy(shared / "long project run")
            before = time.monotonic()
            run.run("dvc", "repro", **private(run.root))
            seconds = time.monotonic() - before
            facts.write_text(json.dumps({"seconds": seconds, "results": lock(run.root)}), encoding="utf-8")
    return LongRun(type(fresh)(root, fresh.env), **json.loads(facts.read_text(encoding="utf-8")))


def pytest_terminal_summary(terminalreporter, config):
    """The kills, one a line: what docs/reliability.md sums up."""
    base = getattr(config, "_tmp_path_factory", None)
    table = base and Path(base.getbasetemp()) / "kills.jsonl"
    if table and table.exists():
        terminalreporter.section("kills")
        for line in sorted(table.read_text(encoding="utf-8").splitlines()):
            terminalreporter.line(line)
