"""Projects that track into databases and servers of their own, and the servers themselves, all real."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.request
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from filelock import FileLock

from gradflow.tracking import environment

environment.prepare()

import mlflow  # noqa: E402  # with its environment
from mlflow.entities import ViewType  # noqa: E402

OWN = {"MLFLOW_TRACKING_URI": ""}  # the database of the checkout, where all other tests share one


@pytest.fixture(scope="session")
def tracked(shared, finished):
    """A project whose own, fresh database two experiments were tracked in at once. Not to be changed, only copied."""
    project = type(finished)(shared / "tracked project", finished.env | OWN)
    done = shared / "tracked.done"
    with FileLock(shared / "tracked.lock"):
        if not done.exists():
            finished.copy(project.root)
            at_once = [
                subprocess.Popen(
                    [
                        "dvc",
                        "--wait-for-lock",
                        "exp",
                        "run",
                        "--temp",
                        "--name",
                        f"depth-{depth}",
                        "-S",
                        f"depth={depth}",
                    ],
                    cwd=project.root,
                    env=project.env,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                for depth in (4, 8)
            ]
            for process in at_once:
                output = process.communicate()[0]
                assert process.returncode == 0, output
            done.touch()
    return project


@pytest.fixture
def own(tracked, tmp_path):
    """A copy of it for a test, without the database."""
    project = type(tracked)(tmp_path / "a project", tracked.env)
    shutil.copytree(
        tracked.root, project.root, symlinks=True, ignore=shutil.ignore_patterns("mlflow.db*", "mlartifacts")
    )
    return project


@dataclass(frozen=True)
class View:
    """What a database holds of the experiment: its runs by name, deleted ones only in ``everything``."""

    client: mlflow.MlflowClient
    experiment: str

    @property
    def everything(self):
        return self.client.search_runs([self.experiment], run_view_type=ViewType.ALL)

    @property
    def parents(self):
        return self._named("mlflow.parentRunId", False)

    @property
    def children(self):
        return self._named("mlflow.parentRunId", True)

    @property
    def models(self):
        return sorted(model.name for model in self.client.search_logged_models([self.experiment]))

    def _named(self, tag, has):
        found = [run for run in self.client.search_runs([self.experiment]) if (tag in run.data.tags) == has]
        named = {run.info.run_name: run for run in found}
        assert len(named) == len(found), "two runs of one name"
        return named


@pytest.fixture
def look(tmp_path):
    """Open what a folder's database holds now: a copy, since MLflow keeps a file that it has opened."""
    number = count()

    def open_copy(folder):
        copy = tmp_path / f"snapshot{next(number)}.db"
        shutil.copy(folder / "mlflow.db", copy)
        client = mlflow.MlflowClient(f"sqlite:///{copy}")
        return View(client, client.get_experiment_by_name("gradflow").experiment_id)

    return open_copy


@pytest.fixture
def wait_until_logging():
    """Wait until a process has begun to log a nested run, hence its parent too, into a folder's database."""

    def wait(process, folder):
        def logging():
            assert process.poll() is None, "it ended before"
            return running(folder / "mlflow.db") >= 2

        wait_for(logging, "nothing was logged")

    return wait


def running(database):
    """How many runs have started and not ended."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("select count(*) from runs where status = 'RUNNING'").fetchone()[0]


def wait_for(condition, otherwise, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)


@dataclass
class Server:
    """A tracking server in a process group of its own; its database and artifacts lie in its folder."""

    folder: Path
    port: int
    process: subprocess.Popen

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=10) as response:
                return response.status == 200
        except OSError:
            return False

    def kill(self, how=signal.SIGKILL):
        os.killpg(self.process.pid, how)
        self.process.wait(timeout=60)


@pytest.fixture(scope="session")
def serve(clean_env, free_port):
    """Start a real server in a folder with further options; in a ``with`` block, after which it is gone."""

    @contextmanager
    def start(folder, *options, command=None, port=None, **env):
        folder.mkdir(exist_ok=True)
        port = port or free_port()
        store = [
            "--backend-store-uri",
            f"sqlite:///{folder}/mlflow.db",
            "--artifacts-destination",
            folder / "artifacts",
        ]
        command = command or ["mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", *store]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (folder / "log").open("a") as log:
            process = subprocess.Popen(
                [str(part) for part in (*command, *options)],
                cwd=folder,
                env=clean_env | quiet | env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = Server(folder, port, process)
        try:
            wait_for(server.answers, "the server did not start")
            yield server
        finally:
            if process.poll() is None:
                server.kill(signal.SIGTERM)  # what `make ui` hands on to its server

    return start


@pytest.fixture(scope="session")
def free_port():
    """Find a port that nobody listens on."""

    def find():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find
