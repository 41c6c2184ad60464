"""Real servers: a small network on as many rows as the recipe has, its bundle, and the front before a model server."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from filelock import FileLock

from gradflow import checkpoints
from gradflow.data import dataset


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen
    address: str
    run: Path
    token: str

    def client(self) -> httpx.Client:
        """Who knows the token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=60, trust_env=False)

    def below(self) -> list[psutil.Process]:
        """All processes that it started, and those that these started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def current(self) -> dict:
        """What answers."""
        return json.loads((self.run / "current.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def packed(shared, fresh):
    """A project in which the pipeline and the bundle were made. Not to be changed, only looked at or copied."""
    project = replace(fresh, root=shared / "project with a bundle")
    with FileLock(shared / "packed.lock"):
        if not project.root.exists():
            draft = fresh.copy(shared / "draft with a bundle")
            draft.change({"data.samples": 2000, "train.epochs": 10, "variants.residual.scale": 0.5})
            draft.run("dvc", "repro", "plot")
            draft.run("dvc", "--cd", "serving", "repro")
            draft.root.rename(project.root)
    return project


@pytest.fixture(scope="session")
def rows(packed):
    """Training and validation rows in the raw data's units, (rows, 2)."""
    scaler = json.loads((packed.root / "data/scaled/scaler.json").read_text(encoding="utf-8"))
    return {
        name: dataset.read(packed.root / f"data/scaled/{name}.parquet")[0] * scaler["scale"] + scaler["mean"]
        for name in ("train", "val")
    }


@pytest.fixture(scope="session")
def trained(packed):
    """What the checkpoint itself says: probabilities (rows, 2) of points (rows, 2)."""
    import torch

    run = json.loads((packed.root / "serving/bundle/bundle.json").read_text(encoding="utf-8"))["run"]
    network = checkpoints.load(packed.root / "models" / f"{run['variant']}.safetensors", run["seed"])
    scaler = json.loads((packed.root / "data/scaled/scaler.json").read_text(encoding="utf-8"))

    def probabilities(points):
        standard = (np.asarray(points, dtype=np.float64) - scaler["mean"]) / scaler["scale"]
        with torch.no_grad():
            return torch.softmax(network(torch.from_numpy(standard).float()).double(), dim=1).numpy()

    return probabilities


@contextmanager
def serving(project, run: Path, *options: object, **env: str) -> Iterator[Server]:
    """Start a server and end it with Ctrl-C; none of its processes may be left."""
    command = [sys.executable, "-m", "serving.serve", "--port", "0", "--run", str(run), *map(str, options)]
    process = subprocess.Popen(
        command,
        cwd=project.root,
        env=project.env | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        start_new_session=True,
    )
    try:
        line = process.stdout.readline()
        said = re.match(r"serving on (http://127\.0\.0\.1:\d+), see ", line)
        assert said, line
        process.curl = process.stdout.readline()
        token = env.get("GRADFLOW_TOKEN") or (run / "token").read_text(encoding="ascii").strip()
        yield Server(process, said[1], run, token)
        if process.poll() is not None:  # the test has ended it
            return
        below = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        process.wait(40)
        assert not [each for each in below if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


@pytest.fixture(scope="module", params=["litserve"])
def server(request, packed, tmp_path_factory):
    """One for all tests of a file."""
    with serving(packed, tmp_path_factory.mktemp("a run") / "state", "--leg", request.param) as running:
        yield running


@pytest.fixture
def start(packed, tmp_path):
    """Start servers of the test's own."""

    @contextmanager
    def started(*options, project=packed, name="state", **env):
        with serving(project, tmp_path / name, *options, **env) as running:
            yield running

    return started
