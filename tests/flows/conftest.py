"""A real Prefect server, and a toy pipeline whose stages take no time."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def free_port():
    def find():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return listener.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def alive():
    """Whether a process runs; a zombie does not."""

    def look(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    return look


@pytest.fixture(scope="session")
def processes_of_dvc():
    """What flows have started of DVC in a project."""

    def look(project):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has just ended
                command = (process / "cmdline").read_text().split("\0")
                if "--wait-for-lock" in command and (process / "cwd").samefile(project.root):
                    found.append(int(process.name))
        return found

    return look


@pytest.fixture(scope="session")
def prefect_env(clean_env, tmp_path_factory):
    """Nothing of the user's Prefect, and nothing sent anywhere."""
    return clean_env | {
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


@pytest.fixture(scope="session")
def server(prefect_env, free_port, eventually, tmp_path_factory):
    """The address of a real Prefect server."""
    port = free_port()
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=prefect_env, stdout=output, stderr=output, start_new_session=True
        )

    def answers():
        assert process.poll() is None, log.read_text()
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2).status == 200
        except OSError:
            return False

    try:
        eventually(answers, seconds=120)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)


@pytest.fixture
def api(server):
    """A client of the server."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def last_run(api):
    """The flow run that started last in a folder's project, and its tasks by name."""
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    # For the server's order a run that a schedule will start tomorrow is the latest.
    started = FlowRunFilter(start_time={"is_null_": False})

    def look():
        runs = api.read_flow_runs(flow_run_filter=started, sort=FlowRunSort.START_TIME_DESC, limit=1)
        if not runs:  # of a server that is new
            return None, {}
        (run,) = runs
        of_run = FlowRunFilter(id={"any_": [run.id]})
        patience = time.monotonic() + 20
        while True:
            tasks = api.read_task_runs(flow_run_filter=of_run)
            # The server hears of tasks as events, which it has not always seen to when the run has ended.
            known = [task.state and (task.state.is_final() or task.state.name == "NotReady") for task in tasks]
            if (known and all(known)) or not run.state.is_final() or time.monotonic() > patience:
                return run, {task.name: task for task in tasks}
            time.sleep(0.2)

    return look


@pytest.fixture
def proxy():
    """A proxy that reaches nobody: its address, and what it was asked for."""

    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_error(502)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        server.asked, server.address = [], f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connected(project, prefect_env, server):
    """A finished project of the test's own whose flows use the server."""
    return replace(project, env=prefect_env | {"PREFECT_API_URL": server})


@pytest.fixture
def toy(fresh, prefect_env, server, tmp_path):
    """An empty repository of git and DVC; ``toy.write`` gives it a pipeline."""
    root = tmp_path / "a toy"
    root.mkdir()
    env = prefect_env | {"PREFECT_API_URL": server, "PYTHONPATH": str(CHECKOUT)}
    project = replace(fresh, root=root, env=env)
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("dvc", "init", "--quiet")
    (root / ".gitignore").write_text("/*.txt\n*.pid\n*.log\n/reports/sweeps/\n")
    return project


@pytest.fixture
def pipeline(toy):
    """Write the dvc.yaml of the toy, or of a folder in it, from text, and commit it."""

    def write(text, folder="."):
        path = toy.root / folder / "dvc.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        toy.run("git", "add", "--all")
        toy.run("git", "commit", "--quiet", "--message", "Pipeline")

    return write
