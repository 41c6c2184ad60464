"""What several people share: an object store for data, PostgreSQL behind MLflow and Prefect. All of them real."""

import json
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import free_port

USER, PASSWORD = "tester", secrets.token_hex(16)
S3 = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD, "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def running(command, log, answers, **options):
    """A server in a process group of its own, from when it answers."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
    try:
        patience = time.monotonic() + 120
        while not answers():
            assert process.poll() is None and time.monotonic() < patience, log.read_text()[-3000:]
            time.sleep(0.3)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def responds(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """The address of an object store, with a bucket called ``bucket``."""
    import s3fs

    folder = tmp_path_factory.mktemp("object store")
    config = folder / "s3.json"
    identity = {"name": USER, "credentials": [{"accessKey": USER, "secretKey": PASSWORD}], "actions": ["Admin"]}
    config.write_text(json.dumps({"identities": [identity]}))
    ports = {name: 20_000 + free_port() % 20_000 for name in ("master", "volume", "filer", "s3")}
    weed = Path(sys.executable).with_name("weed")
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={config}"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    address = f"http://127.0.0.1:{ports['s3']}"
    store = s3fs.S3FileSystem(key=USER, secret=PASSWORD, endpoint_url=address)

    def made():
        try:
            store.mkdir("bucket")
        except OSError:
            return False
        return True

    with running(command, folder / "log", made):
        yield address


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A PostgreSQL server of the tests' own: makes a database of a name, returns its address."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    assert programs, "these tests need PostgreSQL: make test-cluster installs it"
    folder = Path(tmp_path_factory.mktemp("postgres"))
    port, password = free_port(), folder / "password"
    password.write_text(PASSWORD)
    as_owner = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        owner = pwd.getpwnam("postgres")
        for path in (folder, password):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        for parent in folder.parents:
            if parent.owner() == "root" and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
        as_owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = folder / "data"
    init = [
        programs / "initdb",
        f"--pgdata={data}",
        f"--username={USER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
    ]
    subprocess.run(init, check=True, capture_output=True, cwd=folder, **as_owner)

    def psql(statement):
        return subprocess.run(
            ["psql", f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres", "--command", statement],
            capture_output=True,
            check=False,
        )

    serve = [programs / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", folder]
    with running(serve, folder.parent / f"{folder.name}.log", lambda: not psql("select 1").returncode, **as_owner):

        def make(name):
            assert not psql(f"create database {name}").returncode
            return f"{USER}:{PASSWORD}@127.0.0.1:{port}/{name}"

        yield make


def test_data_from_an_object_store_spare_a_colleague_every_training(project, bucket, tmp_path):
    project.run("dvc", "remote", "modify", "storage", "url", "s3://bucket/gradflow")
    project.run("dvc", "remote", "modify", "storage", "endpointurl", bucket)
    project.run("git", "commit", "--quiet", "--all", "--message", "An object store")
    project.run("git", "push", "--quiet")
    project.run("dvc", "push", **S3)
    project.run("git", "clone", "--quiet", tmp_path / "own.git", tmp_path / "a colleague")
    colleague = replace(project, root=tmp_path / "a colleague", env=project.env | S3)
    colleague = replace(colleague, env=colleague.env | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'theirs.db'}"})
    colleague.run("dvc", "pull", "dvc.yaml")
    assert colleague.repro() == {"check", "track"}
    assert colleague.run("git", "status", "--porcelain").stdout == ""

    from mlflow import MlflowClient

    client = MlflowClient(colleague.env["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("gradflow").experiment_id
    assert {run.info.status for run in client.search_runs([experiment])} == {"FINISHED"}

    refused = replace(colleague, env=colleague.env | {"AWS_SECRET_ACCESS_KEY": "another"})
    shutil.rmtree(colleague.root / ".dvc/cache")
    assert refused.run("dvc", "fetch", "dvc.yaml", code=None).returncode != 0


def test_mlflow_on_postgresql_and_a_bucket_as_documented(project, bucket, database, tmp_path, clean_env):
    port, folder = free_port(), tmp_path / "server"
    folder.mkdir()
    text = (project.root / "docs" / "tracking.md").read_text(encoding="utf-8")
    (ini,) = re.findall(r"^```ini\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    assert "mlflow:SECRET@localhost/mlflow_users" in ini
    (folder / "auth.ini").write_text(ini.replace("mlflow:SECRET@localhost/mlflow_users", database("users")))
    env = clean_env | S3 | {
        "MLFLOW_AUTH_CONFIG_PATH": "auth.ini",
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_BACKEND_STORE_URI": f"postgresql://{database('runs')}",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
        "MLFLOW_S3_ENDPOINT_URL": bucket,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip
    command = ["mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    command += ["--artifacts-destination", "s3://bucket/artifacts"]
    address = f"http://127.0.0.1:{port}"
    with running(command, folder / "log", lambda: responds(f"{address}/health"), cwd=folder, env=env):
        there = {"MLFLOW_TRACKING_URI": address, "MLFLOW_TRACKING_USERNAME": "admin"}
        stranger = project.run("dvc", "repro", "--force", "--single-item", "track", code=None, **there)
        assert stranger.returncode and "Traceback" not in stranger.stderr
        project.run("dvc", "repro", "--force", "--single-item", "track", **there, MLFLOW_TRACKING_PASSWORD=PASSWORD)
        code = (
            "from mlflow import MlflowClient; client = MlflowClient();"
            "runs = client.search_runs([client.get_experiment_by_name('gradflow').experiment_id]);"
            "parent = next(run for run in runs if 'fingerprint' in run.data.tags);"
            "print(len(runs), {run.info.status for run in runs}, len(client.list_artifacts(parent.info.run_id)) > 1)"
        )
        shown = project.run("python", "-c", code, **there, MLFLOW_TRACKING_PASSWORD=PASSWORD)
        assert shown.stdout.split("\n")[-2] == "3 {'FINISHED'} True"


def test_prefect_on_postgresql(project, database, tmp_path):
    port = free_port()
    env = project.env | {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{database('prefect')}",
        "PREFECT_HOME": str(tmp_path / "prefect"),
    }
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", port, "--no-ui"]
    address = f"http://127.0.0.1:{port}/api"
    with running(command, tmp_path / "log", lambda: responds(f"{address}/health"), cwd=project.root, env=env):
        project.run("python", "-m", "pipelines.reproduce", PREFECT_API_URL=address, PREFECT_HOME=str(tmp_path / "mine"))
        asked = urllib.request.Request(
            f"{address}/flow_runs/filter", data=b"{}", headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked) as answer:
            (run,) = json.load(answer)
    assert run["state_name"] == "Completed"
