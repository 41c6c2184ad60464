"""track_all: log everything that DVC has, all experiments and the workspace, to fill a lost or new database."""

import shlex
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from pydantic import Field

from gradflow.files import documents
from gradflow.files.documents import Document
from gradflow.guards import workspace
from gradflow.guards.errors import RunError, shown
from gradflow.params import reading
from gradflow.tracking import environment, experiment, origin, result
from pipelines import refs

environment.prepare()

from gradflow.tracking import runs, store  # noqa: E402  # they import MLflow
from gradflow.tracking.store import StoreError  # noqa: E402

_STAGE = "track"
_CODE = ("gradflow", "stages")
# Limits for a dvc.lock, which is read as parameters are: DVC writes some 3,000 bytes and 380 nodes for each variant.
_LARGEST_LOCK = 10_000_000
_MOST_NODES = 500_000
_LONGEST_LINE = 500  # characters that are said of one experiment


class _File(Document):
    path: str
    md5: str = ""


class _Ran(Document):
    cmd: str | list[str]
    deps: list[_File] = Field(default_factory=list)
    outs: list[_File] = Field(default_factory=list)
    params: dict[str, Any] = Field(default_factory=dict)


class _Lock(Document):
    """What is read of a dvc.lock."""

    stages: dict[str, _Ran] = Field(default_factory=dict)


@click.command()
@experiment.option
def main(experiment: str) -> None:
    """Log each result that DVC holds for the pipeline in the current folder, unless it is logged.

    A result counts when the stage track has run on it: nothing half-made is logged. One that cannot be read does not
    stop the others.
    """
    workspace.hold()
    where = store.find()
    in_git = origin.git(where.root, "rev-parse", "--show-prefix").rstrip("\n")  # of a project in a larger repository
    pipeline = Path(in_git, Path.cwd().relative_to(where.root))
    failed = []
    for one in refs.here(where.root):
        with TemporaryDirectory() as folder:
            try:
                lock = _fetch(where.root, one.commit, pipeline, Path(folder))
                if lock is None:
                    click.echo(f"{one.name}: has no result of this pipeline")
                    continue
                with chdir(folder):
                    found = result.read(artefacts(lock))
                    _tell(
                        one.name,
                        runs.track(found, origin.Origin(one.baseline, one.name, one.baseline), where, experiment),
                    )
            except StoreError:
                raise
            except RunError as error:
                failed.append(f"{one.name}: {error.message[:_LONGEST_LINE]}")
            except (DvcException, OSError) as error:
                failed.append(f"{one.name}: is not whole in DVC's cache, `dvc fetch` may bring it ({error})")
    lock = _read(Path("dvc.lock")) if Path("dvc.lock").is_file() else {}
    if _STAGE in lock.get("stages", {}) and not _outdated(where.root):
        _tell("workspace", runs.track(result.read(artefacts(lock)), origin.current(), where, experiment))
    else:
        click.echo("workspace: holds no finished result, `dvc repro` makes and tracks it")
    if failed:
        raise RunError(f"{len(failed)} not tracked: {'; '.join(failed)}")


def artefacts(lock: Mapping[str, Any]) -> result.Artefacts:
    """Where the outputs lie: what the command of the stage names.

    Raises:
        RunError: It names none, or not below the current folder.
    """
    command = lock["stages"][_STAGE]["cmd"]
    try:
        data, models, logs, reports = shlex.split(command)[3:7]
    except (AttributeError, ValueError):  # several commands, an open quote, too few words
        raise RunError(f"its dvc.lock names no outputs in the command {shown(command)}") from None
    folders = [_below(Path(), path) for path in (data, models, logs, reports)]
    return result.Artefacts(Path("params.yaml"), Path("dvc.lock"), *folders)


def _read(path: Path) -> Mapping[str, Any]:
    """A dvc.lock, of which what is used here has its form."""
    lock = reading.read(path, _LARGEST_LOCK, _MOST_NODES)
    if fault := documents.fault(lock, _Lock):
        raise RunError(f"its dvc.lock cannot be read: {fault}")
    return lock


def _fetch(root: Path, commit: str, pipeline: Path, folder: Path) -> Mapping[str, Any] | None:
    """Bring the artefacts of a commit into a folder; returns its dvc.lock, None where it has no such result.

    Args:
        root: The checkout's.
        commit: What to look at.
        pipeline: Folder of the pipeline, seen from git's root.
        folder: Where to bring them.
    """
    files = DVCFileSystem(str(root), rev=commit, subrepos=True)  # git's root need not be DVC's

    def fetch(path: str) -> Path:
        target = _below(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        files.get((pipeline / path).as_posix(), str(target), recursive=True)
        return target

    if not files.exists((pipeline / "dvc.lock").as_posix()):
        return None
    lock, written = _read(fetch("dvc.lock")), reading.read(fetch("params.yaml"))
    if _STAGE not in lock.get("stages", {}) or not _consistent(lock, written):
        return None
    for dep in lock["stages"][_STAGE].get("deps", []):
        if dep["path"].partition("/")[0] not in _CODE:
            fetch(dep["path"])
    return lock


def _below(folder: Path, path: str) -> Path:
    """A path in a folder: an experiment may come from somebody else, and so may what its dvc.lock says."""
    try:
        below = folder.resolve() in (folder / path).resolve().parents
    except ValueError:  # a NUL
        below = False
    if not below:
        raise RunError(f"its dvc.lock names {shown(path)}, which lies outside the pipeline")
    return folder / path


def _consistent(lock: Mapping[str, Any], written: Mapping[str, Any]) -> bool:
    """Whether the stage ran on what the stages before it made, and with the parameters as they stand."""
    stages, stage = lock["stages"].values(), lock["stages"][_STAGE]
    made = {out["path"]: out.get("md5") for other in stages for out in other.get("outs", [])}
    same = all(made.get(dep["path"], dep.get("md5")) == dep.get("md5") for dep in stage.get("deps", []))
    return same and bool(stage.get("params", {}).get("params.yaml") == written)


def _outdated(root: Path) -> bool:
    """Whether what the stage reads in the workspace differs from what it last ran on; its code may."""
    try:
        status = Repo(str(root)).status(targets=[_STAGE])
    except DvcException:  # dvc.yaml has no such stage now, or DVC is at work here and will run it
        return True
    changed = [path for entry in status.get(_STAGE, []) for path in entry.get("changed deps", {})]
    return any(Path(path).parts[0] not in _CODE for path in changed)


def _tell(name: str, done: runs.Tracked) -> None:
    click.echo(f"{name}: {'tracked' if done.now else 'already tracked'}")


if __name__ == "__main__":
    main()
