"""The points of a sweep on the machines of a Ray cluster."""

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dvc.config_schema import RelPath
from dvc.repo import Repo
from prefect import get_run_logger

from gradflow.guards import checkout
from gradflow.guards.errors import InputError, RunError, shown
from gradflow.tracking import origin
from pipelines import dag, experiments, outcome, refs, remote
from pipelines.experiments import Point
from pipelines.git import git
from pipelines.outcome import Kind, Outcome
from pipelines.processes import RunEndedError

LOCK = "requirements.cluster.lock"
LOST = 5  # machines that a point may lose before it counts as failed
_PASSED_ON = ("GRADFLOW_", "MLFLOW_")


class Cluster:
    """Runs points on the machines that have room."""

    def __init__(self, ray: Any, job: remote.Job, *, gpus: bool) -> None:
        """``ray``: the module, connected; ``job``: what the points have in common; ``gpus``: whether each takes one."""
        ray.cloudpickle.register_pickle_by_value(remote)
        self._ray, self._job, self._ended = ray, job, False
        self._gpus = gpus
        self._function = ray.remote(max_retries=LOST, retry_exceptions=False, **_room(gpus))(remote.run)
        self._running: set[Any] = set()

    @property
    def room(self) -> int:
        """How many points the machines run at once."""
        kinds = {"num_cpus": "CPU", "num_gpus": "GPU"}
        needs = {kinds[kind]: number for kind, number in _room(self._gpus).items()}
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        return sum(min(int(own.get(kind, 0)) // number for kind, number in needs.items()) for own in machines)

    def run(self, point: Point) -> Outcome:
        """Run a point, again on another machine if one is lost.

        Raises:
            RunEndedError: The sweep was cancelled meanwhile.
        """
        start = time.monotonic()
        if self._ended:
            raise RunEndedError
        reference = self._function.remote(replace(self._job, name=point.name, overrides=point.overrides))
        self._running.add(reference)
        try:
            ended = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            if self._ended:
                raise RunEndedError from None
            return Outcome(Kind.FAILED, f"the cluster lost it, {_line(error)}")
        finally:
            self._running.discard(reference)
        log = get_run_logger()
        for line in filter(None, ended.lines):
            log.info("%s", line)
        return replace(outcome.of_experiment(ended.code, ended.lines), seconds=time.monotonic() - start)

    def cancel(self) -> None:
        """End what still runs."""
        self._ended = True
        for reference in list(self._running):
            self._ray.cancel(reference, force=True)


@contextmanager
def connected(address: str, folder: Path, state: str) -> Iterator[Cluster]:
    """Connect to a cluster; leaving the context ends what still runs on it.

    Args:
        address: Of its head.
        folder: Where the pipeline's dvc.yaml lies.
        state: Of the checkout, when the points got their names.

    Raises:
        InputError: Something that the machines need is missing here or there.
        RunError: The cluster cannot be reached, or the checkout has changed.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token":
        why = "must be token, or whoever reaches the cluster's ports can run commands on it; docs/cluster.md says how"
        raise InputError("environment: RAY_AUTH_MODE", f"{why}, got {shown(os.environ.get('RAY_AUTH_MODE', ''))}")
    job = _job(folder)
    if experiments.state(folder) != state:  # the names would promise other code than that which runs
        raise RunError("the checkout was changed while the sweep began; start it again")
    _check_answers(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415  # seconds, and an extra that few install
    except ModuleNotFoundError:
        raise InputError("--ray", f"needs the packages of {LOCK}: make cluster") from None
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise RunError(f"{address}: no Ray cluster can be used there, {_line(error)}") from None
    try:
        _check_versions(ray, folder)
        gpus = os.environ.get("GRADFLOW_DEVICE") != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
        _check_has_room(ray, gpus=gpus)
        cluster = Cluster(ray, job, gpus=gpus)
        try:
            yield cluster
        finally:
            cluster.cancel()
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Check that somebody listens there: Ray itself would try for minutes.

    Raises:
        InputError: It is no address.
        RunError: Nobody does.
    """
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise InputError("--ray", f"must be HOST:PORT, got {shown(address)}")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise RunError(f"{address}: no Ray cluster can be used there, {error.strerror or error}") from None


def _room(gpus: bool) -> dict[str, int]:
    """What a point takes of a machine, in Ray's words."""
    if gpus:
        return {"num_cpus": 1, "num_gpus": 1}  # for which Ray sets CUDA_VISIBLE_DEVICES
    return {"num_cpus": int(os.environ.get("GRADFLOW_THREADS") or 1)}


def _check_has_room(ray: Any, *, gpus: bool) -> None:
    """Check that a point fits on some machine: it would wait for ever.

    Raises:
        InputError: It does not.
    """
    cpus = _room(gpus)["num_cpus"]
    if not any(node["Alive"] and node["Resources"].get("CPU", 0) >= cpus for node in ray.nodes()):
        raise InputError("environment: GRADFLOW_THREADS", f"must leave room on some machine, none has {cpus} CPUs")


def _job(folder: Path) -> remote.Job:
    """What all points have in common.

    Raises:
        InputError: The machines could not get at the code or the data.
    """
    root = dag.root(folder).resolve()
    own = checkout.around(root) or root  # of the checkout, where the studies have a project of their own
    top = Path(git(own, "rev-parse", "--show-toplevel").removesuffix("\n"))
    repository = git(top, "remote", "get-url", refs.REMOTE).strip()
    if not _is_the_same_everywhere(repository):
        raise InputError("git", f"must have an address or an absolute path as remote {refs.REMOTE}, got {repository}")
    commit = git(top, "rev-parse", "HEAD").strip()
    if not git(top, "for-each-ref", f"--contains={commit}", f"refs/remotes/{refs.REMOTE}"):
        raise InputError("git", f"must have commit {commit[:7]} on {refs.REMOTE}: git push")
    with Repo(str(root)) as repo:
        shared = repo.config.read("repo")  # what lies in git: the machines have nothing else
    name = shared.get("core", {}).get("remote")
    url = shared.get("remote", {}).get(name, {}).get("url", "")
    if not name:
        raise InputError(str(root / ".dvc/config"), "must name a default remote: dvc remote add --default NAME URL")
    if isinstance(url, RelPath) or not _is_the_same_everywhere(url):  # DVC has made a relative path absolute
        raise InputError(str(root / ".dvc/config"), f"must have an address or an absolute path as remote, got {url!r}")
    env = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    return remote.Job(
        name="",
        overrides=(),
        repository=repository,
        commit=commit,
        edits=experiments.edits(folder).encode(errors="surrogateescape"),
        folder=folder.resolve().relative_to(top).as_posix(),
        project=root.relative_to(top).as_posix(),
        leash=(own.relative_to(top) / "pipelines" / "leash.py").as_posix(),
        author=_author(top),
        env=env,
    )


def _is_the_same_everywhere(url: str) -> bool:
    """Whether an address means on another machine what it means here; a path may, where disks are shared."""
    return url.startswith("/") or "://" in url or bool(re.match(r"[\w.-]+@?[\w.-]*:", url))


def _author(top: Path) -> tuple[str, str]:
    """Whom git would name as the author of a commit, as the machines may know nobody."""
    known = re.match(r"(.+) <(.*)> ", origin.git(top, "var", "GIT_AUTHOR_IDENT"))
    return (known[1], known[2]) if known else ("gradflow", "gradflow@localhost")


def _check_versions(ray: Any, folder: Path) -> None:
    """Check that each machine has the packages of the lock file.

    Raises:
        InputError: One has not.
    """
    root = dag.root(folder).resolve()
    lock = (checkout.around(root) or root) / LOCK
    wanted = dict(re.findall(r"^([\w.-]+)==([\w.]+)", lock.read_text(encoding="utf-8"), re.MULTILINE))
    nodes = [node for node in ray.nodes() if node["Alive"]]
    ray.cloudpickle.register_pickle_by_value(remote)
    ask = ray.remote(num_cpus=0)(remote.versions)
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    asked = [ask.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote() for node in nodes]
    try:
        answers = ray.get(asked)
    except ray.exceptions.RayError as error:
        raise RunError(f"a machine does not say what it has, {_line(error)}") from None
    for node, found in zip(nodes, answers, strict=True):
        for name, version in wanted.items():
            has = found.get(name, "nothing")
            if has != version:
                raise InputError(LOCK, f"{name} must be {version} on {node['NodeManagerHostname']}, got {has}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
