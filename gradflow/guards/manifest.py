"""The MD5s of outputs in DVC's lock files, so that a file that has been damaged or changed since is never used."""

import hashlib
import os
import time
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import yaml

from gradflow.guards import checkout
from gradflow.guards.errors import RunError

_LOCKS = ("dvc.lock", "studies/*/dvc.lock")  # seen from the top of the checkout
_SETTLED_SECONDS = 3  # DVC writes a lock file in place: a younger one may be half-written
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_md5 = partial(hashlib.md5, usedforsecurity=False)


def check(path: Path) -> None:
    """Compare a file with the MD5 that its checkout's lock files have of it as the output of a stage.

    What no lock file names was not made by DVC, and is not looked at.

    Raises:
        RunError: The file is missing, or is not what the stage made; or a lock file cannot be read.
    """
    locks = _locks(path)
    if not locks:
        return
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, _md5).hexdigest()
    except OSError as error:
        raise unusable(path, error) from None
    while True:
        fault = None
        try:
            recorded = {md5 for lock in locks for md5 in _recorded(path, lock)}
        except RunError as error:
            fault = error
        else:
            if found in recorded:
                return
            if recorded:
                made = " or ".join(sorted(recorded))
                fault = unusable(path, f"is not what `dvc repro` made, its MD5 is {found}, not {made}")
        if not any(0 <= time.time() - lock.stat().st_mtime < _SETTLED_SECONDS for lock in locks):
            break
        time.sleep(0.1)
    if fault:
        raise fault


def unusable(path: Path, why: Exception | str) -> RunError:
    """The error of whoever cannot read an output: what is wrong with it, and what makes it anew."""
    if isinstance(why, FileNotFoundError):
        return RunError(f"{path}: is missing; run `dvc repro`, which makes it")
    reason = why if isinstance(why, str) else f"cannot be read ({(str(why).splitlines() or [''])[0][:120]})"
    return RunError(f"{path}: {reason}; delete it and run `dvc repro`, which makes it anew")


def _locks(path: Path) -> list[Path]:
    """The lock files that may name a file: those of the checkout around it."""
    file = Path(os.path.abspath(path))  # noqa: PTH100  # does not follow links, which DVC may have made into its cache
    root = checkout.around(file.parent)
    if root is None:  # results that were taken out of a checkout, with their lock file
        return [lock for folder in file.parents if (lock := folder / "dvc.lock").is_file()]
    return [lock for pattern in _LOCKS for lock in root.glob(pattern)]


def _recorded(path: Path, lock: Path) -> frozenset[str]:
    """The MD5s of a file as an output; several if a stage that no longer exists has made it too."""
    written = Path(os.path.relpath(path, lock.parent)).as_posix()
    content = lock.read_bytes()
    if f"path: {written}\n".encode() not in content:  # most lock files do not name it, and parsing is slow
        return frozenset()
    try:
        return _outputs(content).get(written, frozenset())
    except (yaml.YAMLError, ValueError, AttributeError, KeyError, TypeError):
        raise RunError(f"{lock}: cannot be read; `git checkout {lock}` brings back the last one committed") from None


@lru_cache(maxsize=8)
def _outputs(lock: bytes) -> dict[str, frozenset[str]]:
    """Path of each output, as a lock file has it, to its MD5s."""
    found: dict[str, frozenset[str]] = {}
    for stage in yaml.load(lock, _LOADER)["stages"].values():  # noqa: S506  # a SafeLoader
        for out in stage.get("outs", ()):
            found[out["path"]] = found.get(out["path"], frozenset()) | {str(out["md5"])}
    return found
