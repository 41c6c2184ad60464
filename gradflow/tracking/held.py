"""What DVC holds: the results of all experiments and of the workspace, to fill a lost or new database from."""

import shlex
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click
import yaml
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo

from gradflow.errors import RunError
from gradflow.tracking import origin, result, runs
from gradflow.tracking.store import Store, StoreError

_STAGE = "track"
_CODE = ("gradflow", "stages")


class Experiment(NamedTuple):
    """A DVC experiment: its commit, and the commit that it starts from."""

    name: str
    commit: str
    baseline: str


def track(where: Store, experiment: str) -> None:
    """Track each result that DVC holds for the pipeline in the current folder, the oldest experiment first.

    A result counts when the stage ``track`` has run on it: nothing half-made is logged. One that cannot
    be read does not stop the others.

    Args:
        where: The store.
        experiment: Name of the MLflow experiment.

    Raises:
        RunError: A result could not be read, or the store cannot be used.
    """
    pipeline = Path.cwd().relative_to(where.root)
    failed = []
    for one in experiments(where.root):
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
            except (RunError, DvcException, OSError) as error:
                failed.append(f"{one.name}: {error}")
    lock = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8")) if Path("dvc.lock").is_file() else {}
    if _STAGE in lock.get("stages", {}) and not _outdated(where.root):
        _tell("workspace", runs.track(result.read(artefacts(lock)), origin.current(), where, experiment))
    else:
        click.echo("workspace: holds no finished result, `dvc repro` makes and tracks it")
    if failed:
        raise RunError(f"{len(failed)} not tracked: {'; '.join(failed)}")


def experiments(root: Path) -> list[Experiment]:
    """All experiments of a repository, the oldest first."""
    listed = origin.git(root, "for-each-ref", "--sort=committerdate", "--format=%(objectname) %(refname)", "refs/exps")
    found = []
    for commit, ref in (line.split(" ", 1) for line in listed.splitlines()):
        match ref.split("/"):  # refs/exps/<2 digits>/<38 digits>/<name>; others are DVC's own
            case [_, _, first, rest, name] if len(first + rest) == 40:
                found.append(Experiment(name, commit, first + rest))
    return found


def artefacts(lock: dict[str, Any]) -> result.Artefacts:
    """Where the outputs lie: what the command of the stage names."""
    folders = [Path(word) for word in shlex.split(lock["stages"][_STAGE]["cmd"])[3:7]]
    return result.Artefacts(Path("params.yaml"), Path("dvc.lock"), *folders)


def _fetch(root: Path, commit: str, pipeline: Path, folder: Path) -> dict[str, Any] | None:
    """Bring the artefacts of a commit into a folder; returns its dvc.lock, None where it has no such result."""
    files = DVCFileSystem(str(root), rev=commit)
    base = pipeline.as_posix()
    if not files.exists(f"{base}/dvc.lock"):
        return None
    lock: dict[str, Any] = yaml.safe_load(files.read_text(f"{base}/dvc.lock"))
    if _STAGE not in lock["stages"] or not _consistent(lock, yaml.safe_load(files.read_text(f"{base}/params.yaml"))):
        return None
    paths = [dep["path"] for dep in lock["stages"][_STAGE]["deps"] if Path(dep["path"]).parts[0] not in _CODE]
    for path in (*paths, "params.yaml", "dvc.lock"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        files.get(f"{base}/{path}", str(folder / path), recursive=True)
    return lock


def _consistent(lock: dict[str, Any], written: dict[str, Any]) -> bool:
    """Whether the stage ran on what the stages before it made, and with the parameters as they stand."""
    stages, stage = lock["stages"].values(), lock["stages"][_STAGE]
    made = {out["path"]: out["md5"] for other in stages for out in other.get("outs", [])}
    same = all(made.get(dep["path"], dep["md5"]) == dep["md5"] for dep in stage["deps"])
    return same and all(written.get(key) == value for key, value in stage["params"]["params.yaml"].items())


def _outdated(root: Path) -> bool:
    """Whether what the stage reads in the workspace differs from what it last ran on; its code may."""
    status = Repo(str(root)).status(targets=[_STAGE])
    changed = [path for entry in status.get(_STAGE, []) for path in entry.get("changed deps", {})]
    return any(Path(path).parts[0] not in _CODE for path in changed)


def _tell(name: str, logged: bool) -> None:
    click.echo(f"{name}: {'tracked' if logged else 'already tracked'}")
