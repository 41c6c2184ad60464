"""Two machines of a Ray cluster, played by this one, and a project that they can get at: git and DVC remotes."""

import os
import secrets
import socket
from dataclasses import replace

import pytest


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def published(shared, finished):
    """The finished project with remotes that hold all of it. Not to be changed, only cloned."""
    project = finished.copy(shared / "published project")
    bare = shared / "published.git"
    project.run("git", "clone", "--quiet", "--bare", project.root, bare)
    project.run("git", "remote", "add", "origin", bare)
    project.run("dvc", "remote", "add", "--default", "storage", shared / "storage")
    project.run("git", "commit", "--quiet", "--all", "--message", "A remote for data")
    project.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    project.run("dvc", "push")
    return project


@pytest.fixture
def project(published, tmp_path):
    """The same, for a test's own changes, with remotes of its own."""
    own = published.copy(tmp_path / "a project")
    bare = tmp_path / "own.git"
    own.run("git", "clone", "--quiet", "--bare", own.root, bare)
    own.run("git", "remote", "set-url", "origin", bare)
    own.run("git", "fetch", "--quiet", "origin")
    return replace(own, env=own.env | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"})


class Machines:
    """A cluster whose machines are started and killed one by one; each runs two points at once.

    Attributes:
        address: Of its head.
        env: What a command needs to use it.
    """

    def __init__(self, env, token):
        self.env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        os.environ.update(self.env | {"HOME": env["HOME"], "RAY_USAGE_STATS_ENABLED": "0"})
        from ray.cluster_utils import Cluster

        head = {
            "num_cpus": 0,
            "node_ip_address": "127.0.0.2",
            "gcs_server_port": free_port(),
            "include_dashboard": False,
        }
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self.nodes = []

    def add(self, cpus=2):
        """Start a machine; returns it."""
        address = f"127.0.0.{3 + len(self.nodes)}"
        self.nodes.append(self._cluster.add_node(num_cpus=cpus, node_ip_address=address, include_dashboard=False))
        return self.nodes[-1]

    def kill(self, node):
        """End a machine as a power cut would."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def stop(self):
        """End all."""
        self._cluster.shutdown()


@pytest.fixture(scope="session")
def token(shared):
    """The token of all clusters: Ray reads it once in a process."""
    path = shared / "token"
    path.write_text(secrets.token_hex(32))
    return path


@pytest.fixture
def machines(clean_env, token, tmp_path, monkeypatch):
    """A cluster with two machines besides its head."""
    for name in ("HOME", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back at the end
    home = tmp_path / "home of the machines"
    home.mkdir()
    found = Machines(clean_env | {"HOME": str(home)}, token)
    found.home = home
    for _ in range(2):
        found.add()
    yield found
    found.stop()
