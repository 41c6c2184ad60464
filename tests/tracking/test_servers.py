"""Tracking on a real server: killed, absent, silent, with a password."""

import re
import secrets
import signal
import socket
import subprocess

import pytest

from gradflow.tracking import environment

TRACK = ("python", "-m", "stages.track", "data", "models", "logs", "reports", "data/tracked")
PASSWORD = secrets.token_urlsafe()  # made here, so that no file of the project holds it

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own


def at(project, url):
    """The same project, tracking there."""
    return type(project)(project.root, project.env | {"MLFLOW_TRACKING_URI": url})


def test_a_server_killed_in_the_middle_holds_the_result_once_after_the_next_repro(
    own, serve, look, wait_until_logging, tmp_path
):
    folder = tmp_path / "server"
    own.change({"plot.dpi": 51})
    with serve(folder) as server:
        project = at(own, server.url)
        with subprocess.Popen(
            ["dvc", "repro"],
            cwd=own.root,
            env=project.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            wait_until_logging(process, folder)
            server.kill(signal.SIGKILL)
            errors = process.communicate()[1]
    assert process.returncode != 0
    assert lines_of_ours(errors) == [f"gradflow: {server.url}: does not answer; {KEPT}"]

    with serve(folder, port=server.port):
        assert project.repro() == {"track"}
        assert project.repro() == set()

    view = look(folder)
    assert {run.info.status for run in view.everything} == {"FINISHED", "KILLED"}
    assert len(view.parents) == 1 and len(view.children) == 2
    assert {run.info.status for run in (view.parents | view.children).values()} == {"FINISHED"}
    assert view.models == ["plain", "residual"]
    assert len(view.client.search_model_versions()) == 2


def test_a_result_that_two_checkouts_track_at_once_is_there_once(own, serve, look, tmp_path):
    with serve(tmp_path / "server") as server:
        pair = [at(own, server.url), at(own.copy(tmp_path / "another checkout"), server.url)]
        both = [
            subprocess.Popen(
                TRACK, cwd=each.root, env=each.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            for each in pair
        ]
        said = [process.communicate()[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
    (parent,) = look(tmp_path / "server").parents.values()
    assert parent.info.status == "FINISHED" and len(look(tmp_path / "server").children) == 2
    assert all(parent.info.run_id in text for text in said), "both say where it is"
    assert len(look(tmp_path / "server").client.search_model_versions()) == 2


KEPT = "all results are kept, start the server, then `dvc repro` tracks them"


def lines_of_ours(text):
    return [line for line in text.splitlines() if line.startswith("gradflow: ") or "Traceback" in line]


def documented(project, address):
    """The steps of docs/tracking.md for a new place: an address, or none for the database of the checkout."""
    text = (project.root / "docs" / "tracking.md").read_text(encoding="utf-8")
    (steps,) = re.findall(r"^    export MLFLOW_TRACKING_URI=http://host:5000.*\n((?:    .+\n)*)", text, re.MULTILINE)
    return "sh", "-ec", f"export MLFLOW_TRACKING_URI={address}\n" * bool(address) + steps


def test_the_documented_steps_bring_what_there_is_to_a_new_server(own, serve, look, tmp_path):
    with serve(tmp_path / "server") as server:
        assert at(own, server.url).repro() == set()  # why there are any
        for _ in range(2):
            own.run(*documented(own, server.url))
            view = look(tmp_path / "server")
            assert len(view.everything) == 9 and {"depth-4", "depth-8"} <= set(view.parents)


def test_the_documented_steps_fill_the_database_of_a_fresh_clone(own, look, tmp_path):
    own.run("dvc", "remote", "add", "--default", "shared", tmp_path / "remote")
    own.run("git", "commit", "--quiet", "--all", "--message", "Remote")
    own.run("dvc", "push")
    own.run("git", "clone", "--quiet", own.root, tmp_path / "a clone")
    clone = type(own)(tmp_path / "a clone", own.env)
    clone.run("dvc", "pull", code=None)
    for _ in range(2):
        clone.run(*documented(clone, ""))
        assert len(look(clone.root).everything) == 3


def test_without_a_server_all_else_is_made_and_the_next_repro_runs_track_alone(own, unused_address):
    own.change({"plot.dpi": 52})

    failed = at(own, unused_address).run("dvc", "repro", code=None)

    assert failed.returncode != 0
    assert lines_of_ours(failed.stderr) == [f"gradflow: {unused_address}: does not answer; {KEPT}"]
    assert own.repro() == {"track"}


def test_without_a_server_track_ends_within_a_minute(own, unused_address):
    env = at(own, unused_address).env
    done = subprocess.run(TRACK, cwd=own.root, env=env, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"gradflow: {unused_address}: does not answer; {KEPT}"]


def test_a_server_that_accepts_and_never_answers_is_given_up(own):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        done = at(own, url).run(*TRACK, code=1, MLFLOW_HTTP_REQUEST_TIMEOUT="1")

    assert done.stderr.splitlines() == [f"gradflow: {url}: does not answer; {KEPT}"]


def test_attempts_and_pauses_stay_below_a_minute(monkeypatch):
    for name in ("TIMEOUT", "MAX_RETRIES", "BACKOFF_FACTOR"):
        monkeypatch.delenv(f"MLFLOW_HTTP_REQUEST_{name}", raising=False)
    environment.prepare()
    from mlflow import environment_variables as of

    retries = of.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()
    attempts = (1 + retries) * of.MLFLOW_HTTP_REQUEST_TIMEOUT.get()
    jitter = retries * of.MLFLOW_HTTP_REQUEST_BACKOFF_JITTER.get()
    pauses = sum(of.MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.get() * 2**attempt for attempt in range(retries))
    assert attempts + pauses + jitter <= 50  # the rest is for imports


@pytest.fixture
def unused_address():
    """Of a port that nobody listens on, and nobody can while it is bound."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


# As in docs/tracking.md: passwords are checked once a minute instead of at each request.
CONFIGURATION = """
[mlflow]
default_permission = READ
database_uri = sqlite:///basic_auth.db
admin_username = admin
auth_cache_ttl_seconds = 60
"""


def test_a_password_is_asked_for_used_and_repeated_nowhere(own, serve, look, tmp_path):
    folder = tmp_path / "server"
    (tmp_path / "auth.ini").write_text(CONFIGURATION, encoding="utf-8")
    settings = {
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_AUTH_CONFIG_PATH": str(tmp_path / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "any",
    }
    with serve(folder, "--app-name", "basic-auth", **settings) as server:
        refused = f"gradflow: {server.url}: refuses the user name and password (401); "
        address = server.url.removeprefix("http://")
        for url in (server.url, f"http://admin:wrong-{PASSWORD}@{address}"):
            lines = at(own, url).run(*TRACK, code=1).stderr.splitlines()
            assert len(lines) == 1 and lines[0].startswith(refused)

        own.change({"plot.dpi": 53})
        with_password = at(own, f"http://admin:{PASSWORD}@{address}")
        first = with_password.run("dvc", "repro")
        by_variables = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
        second = at(own, server.url).run(*TRACK, **by_variables)

    assert "tracked: " in first.stdout and second.stdout.startswith("already tracked: ")
    down = with_password.run(*TRACK, code=1)
    said = [done.stdout + done.stderr for done in (first, second, down)]
    assert not [text for text in said if PASSWORD in text]
    written = [path for root in (own.root, folder) for path in root.rglob("*") if path.is_file()]
    assert any(path.name == "gradient_norms.csv" and folder in path.parents for path in written)
    assert not [path for path in written if PASSWORD.encode() in path.read_bytes()]
