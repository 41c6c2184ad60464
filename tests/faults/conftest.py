"""Short in `make test`; `make test-faults` asks for the campaign: more of everything, and what takes minutes."""

import json
import os
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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


class Running:
    """A `dvc repro` in a process group of its own, and what it says, with the time of each line.

    Attributes:
        process: Of DVC.
        said: (time, line), the first one being its start, without a line.
    """

    def __init__(self, project):
        self.process = subprocess.Popen(
            ["dvc", "repro"], cwd=project.root, env=project.env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.said = [(time.time(), "")]
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.said.append((time.time(), line))
                self._changed.notify_all()

    def stages(self):
        """When DVC started and each stage began, in this order; and the last of them."""
        begun = ((at, re.match(r"Running stage '(\S+)'", line)) for at, line in self.said[1:])
        return {"start": self.said[0][0]} | {match[1]: at for at, match in begun if match}

    def wait_for(self, start):
        """Until a line has begun so."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(line.startswith(start) for _, line in self.said), 300), self.said

    def end(self, number=None):
        """Wait for the end and return when it was; or bring it by a signal to all, and return when that was sent."""
        if number is not None:
            os.killpg(self.process.pid, number)
        now = time.time()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        return now if number else time.time()


@dataclass(frozen=True)
class LongRun:
    """A project whose trainings take some seconds each, as cloned and never run, and what an undisturbed run gave.

    Attributes:
        seconds: How long that took before the first stage, and in each.
        results: What its dvc.lock said.
    """

    fresh: object
    seconds: dict
    results: dict

    def untouched(self, root):
        """The project in a folder of one's own, with a tracking database of its own."""
        copy = self.fresh.copy(root)
        return type(copy)(copy.root, copy.env | private(root))

    start = Running

    def same(self, project):
        """Whether the results of a project are those of the undisturbed run."""
        return lock(project.root) == self.results


def lock(root):
    """A dvc.lock; the order of its stages is that in which they happened to run."""
    return yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))


def private(root):
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db", "GRADFLOW_SAVE_SECONDS": "2"}


@pytest.fixture(scope="session")
def long_run(shared, fresh):
    """See :class:`LongRun`."""
    root, facts = shared / "long project", shared / "long.json"
    with FileLock(shared / "long.lock"):
        if not facts.exists():
            draft = fresh.copy(root)
            draft.change({"width": 256, "train.epochs": 3000, "probe.every": 50})
            draft.run("git", "commit", "--all", "--quiet", "--message", "Longer")
            run = draft.copy(shared / "long project run")
            running = Running(type(run)(run.root, run.env | private(run.root)))
            end = running.end()
            begun = running.stages()
            seconds = dict(zip(begun, np.diff([*begun.values(), end]), strict=True))
            facts.write_text(json.dumps({"seconds": seconds, "results": lock(run.root)}), encoding="utf-8")
    return LongRun(type(fresh)(root, fresh.env), **json.loads(facts.read_text(encoding="utf-8")))


def pytest_terminal_summary(terminalreporter, config):
    """The kills, one a line, and the table of docs/reliability.md."""
    base = getattr(config, "_tmp_path_factory", None)
    table = base and Path(base.getbasetemp()) / "kills.jsonl"
    if table and table.exists():
        terminalreporter.section("kills")
        lines = table.read_text(encoding="utf-8").splitlines()
        stages = json.loads((table.parent / "long.json").read_text(encoding="utf-8"))["seconds"]
        for line in [*sorted(lines), *summary([json.loads(line) for line in lines], stages)]:
            terminalreporter.line(line)


def summary(kills, stages):
    """A table by stage: kills, how many met a training with something to lose, what it lost, how many went on."""
    yield "| killed in | kills | in a training | lost, s: median, most | went on from a state | tore a file of DVC's |"
    yield "|---|---|---|---|---|---|"
    for stage in stages:
        own = [kill for kill in kills if kill["stage"] == stage]
        lost = [kill["lost"] for kill in own if kill["lost"] is not None]
        span = f"{np.median(lost):.1f}, {max(lost):.1f}" if lost else "-"
        went_on = sum(kill["went on"] for kill in own)
        torn = ", ".join(kill["torn"] for kill in own if kill["torn"])
        yield f"| {stage} | {len(own)} | {len(lost) or '-'} | {span} | {went_on or '-'} | {torn or '-'} |"
