"""remote: one point of a sweep on a machine of a cluster, as a DVC experiment in a clone of its own.

Standard library only, and nothing of this project imported: the cluster sends this module's code to its machines. They
need git and the packages of requirements.cluster.lock, and no Prefect server.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

HOME = Path("~/.cache/gradflow")  # on each machine: DVC's cache, and a clone for each point that runs
TRIES, PAUSE_SECONDS = 3, 5  # of what a network may interrupt


@dataclass(frozen=True)
class Job:
    """What a machine has to know of a point.

    Attributes:
        name: Of the experiment.
        overrides: Such as ``depth=10``, as ``dvc exp run --set-param`` takes them.
        repository: Address of the git repository to clone, and to push the experiment to.
        commit: To start from.
        edits: What has been edited since, as ``git diff --binary`` prints it.
        folder: Of the pipeline, seen from the top of the repository.
        project: Of the DVC project, likewise.
        leash: Of pipelines/leash.py, likewise.
        author: Name and address of whoever commits the experiments.
        env: Variables for DVC and the stages.
    """

    name: str
    overrides: tuple[str, ...]
    repository: str
    commit: str
    edits: bytes
    folder: str
    project: str
    leash: str
    author: tuple[str, str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a point ended: exit code and lines of ``dvc exp run``, or of what failed before or after it."""

    code: int
    lines: tuple[str, ...]


class _FailedError(Exception):
    """A command that must not fail has; holds its lines."""


def versions() -> dict[str, str]:
    """The packages that this machine has: name, as lock files write it, to version without what marks a build."""
    return {re.sub(r"[-_.]+", "-", each.name).lower(): each.version.partition("+")[0] for each in distributions()}


def run(job: Job) -> Ended:
    """Run a point and push its results: first the data, then the experiment that names them.

    The clone is deleted when all is done, and kept where something failed. A point that was killed in between is run
    again: what it has pushed is found, or replaced.
    """
    home = HOME.expanduser()
    clone = home / "points" / f"{job.name}.{secrets.token_hex(4)}"
    try:
        _clone(job, clone, home / "cache")
        code, said = _dvc(job, clone, "pull", "--allow-missing", "dvc.yaml", must=False)  # what is not there is made
        unfetched = [f"dvc pull failed, so all is made anew: {said[-1] if said else code}"] if code else []
        options = [f"--set-param={override}" for override in job.overrides]
        code, lines = _dvc(job, clone, "exp", "run", "--name", job.name, *options, must=False)
        if code:
            return _kept(clone, code, [*unfetched, *lines])
        _again(lambda: _dvc(job, clone, "push", "dvc.yaml"))
        # In this order: an experiment in git whose data are nowhere would count as done. The experiment is a ref. git
        # sends it in a moment; `dvc exp push` takes a second, and longer with each experiment that is there already.
        ref = f"refs/exps/*/{job.name}"
        _again(lambda: _git(clone, "push", "--quiet", "--force", "origin", f"{ref}:{ref}"))
        _again(lambda: _git(clone, "ls-remote", "--exit-code", "origin", ref))
    except (_FailedError, OSError) as error:
        *before, last = str(error).splitlines() or [type(error).__name__]
        return _kept(clone, 1, [*before, f"ERROR: {last}"])  # as DVC marks the line that explains a failure
    shutil.rmtree(clone, ignore_errors=True)
    return Ended(0, (*unfetched, *lines))


def _kept(clone: Path, code: int, lines: Sequence[str]) -> Ended:
    where = [f"kept on {os.uname().nodename}: {clone}"] if clone.exists() else []
    return Ended(code, (*where, *lines))


def _clone(job: Job, clone: Path, cache: Path) -> None:
    """Make the clone under another name and rename it: one of its own name is whole."""
    part = clone.with_name(f"{clone.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    _again(lambda: _git(part.parent, "clone", "--quiet", "--no-checkout", job.repository, part.name))
    _git(part, "checkout", "--quiet", "--detach", job.commit)
    if job.edits:
        _git(part, "apply", "--index", "--binary", "--whitespace=nowarn", given=job.edits)
    for key, value in zip(("user.name", "user.email"), job.author, strict=True):
        _git(part, "config", key, value)
    config = part / job.project / ".dvc" / "config.local"
    config.write_text(f"[cache]\n    dir = {cache}\n    type = reflink,hardlink,copy\n", encoding="utf-8")
    part.rename(clone)


def _again(work: Callable[[], object]) -> None:
    for left in reversed(range(TRIES)):
        try:
            work()
        except _FailedError:
            if not left:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _git(folder: Path, *arguments: str, given: bytes = b"") -> None:
    _run(["git", *arguments], folder, given=given)


def _dvc(job: Job, clone: Path, *arguments: str, must: bool = True) -> tuple[int, Sequence[str]]:
    """Run DVC on a leash, which ends it and the training when this process is killed."""
    command = [sys.executable, "-I", "-S", str(clone / job.leash)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    env = {"PATH": path, "PYTHONUNBUFFERED": "1", **job.env}
    return _run([*command, sys.executable, "-m", "dvc", *arguments], clone / job.folder, env=env, must=must)


def _run(
    command: Sequence[str], folder: Path, *, env: Mapping[str, str] | None = None, given: bytes = b"", must: bool = True
) -> tuple[int, Sequence[str]]:
    with subprocess.Popen(  # noqa: S603  # no shell
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        if given or command[0] == "git":
            process.stdin.write(given)
            process.stdin.close()
        lines = process.stdout.read().decode(errors="replace").splitlines()
        code = process.wait()
    if code and must:
        raise _FailedError("\n".join([*lines, f"{' '.join(command[-6:])}: exit code {code}"]))
    return code, lines
