"""DVC on standby: asked when a stage comes, done without when it cannot be had, never left behind."""

import os
import resource
import signal
import time

import pytest

from pipelines import slots
from pipelines.processes import Processes


@pytest.fixture
def processes(toy, monkeypatch):
    """Those of a flow run in the toy."""
    monkeypatch.chdir(toy.root)
    for name, value in toy.env.items():
        monkeypatch.setenv(name, value)
    with (toy.root / "held.log").open("w") as held, Processes(held.fileno()) as processes:
        yield processes


@pytest.fixture
def waiting(toy, processes_of_dvc):
    """Those on standby, once all of them are."""

    def look():
        found = processes_of_dvc(toy, idle=True)
        return found if len(found) == min(2, slots.cores()) else []

    return look


def test_those_on_standby_run_stages_and_others_take_their_place(
    toy, pipeline, processes, processes_of_dvc, waiting, eventually
):
    pipeline("stages: {say: {cmd: echo said; sleep 5}}")
    first = eventually(waiting)
    seen = []

    def on_line(line):
        if line == "said":
            seen.append(set(first) - set(processes_of_dvc(toy, idle=True)))
            eventually(lambda: set(processes_of_dvc(toy, idle=True)) - set(first) or slots.cores() == 1, seconds=4)

    code, lines = processes.run(["repro", "say"], toy.root, {}, on_line)
    assert code == 0, lines
    assert len(seen) == len(seen[0]) == 1, "one of them has become DVC"


def test_one_that_was_killed_is_not_asked(toy, pipeline, processes, processes_of_dvc, waiting, eventually):
    pipeline("stages: {say: {cmd: echo said}}")
    for process in eventually(waiting):
        os.kill(process, signal.SIGKILL)
    eventually(lambda: not processes_of_dvc(toy))
    code, lines = processes.run(["repro", "say"], toy.root, {}, print)
    assert (code, "said" in lines) == (0, True)


def test_where_no_more_can_be_started_stages_run_on(toy, pipeline, processes, waiting, eventually):
    pipeline("stages: {say: {cmd: echo said}}")
    eventually(waiting)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, files[1]))
    try:
        code, lines = processes.run(["repro", "say"], toy.root, {}, lambda _: None)
        with pytest.raises(OSError, match="Too many open files"):
            (toy.root / "dvc.yaml").open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
    assert (code, "said" in lines) == (0, True)


def test_none_is_left_however_soon_the_run_ends(toy, processes_of_dvc, monkeypatch):
    monkeypatch.chdir(toy.root)
    for seconds in (0, 0.1, 0.5):
        with (toy.root / "held.log").open("w") as held, Processes(held.fileno()):
            time.sleep(seconds)
            assert processes_of_dvc(toy)
        assert not processes_of_dvc(toy)
