"""The files through which a running server and what deploys to it know of each other, in one folder.

``current.json`` says which backend answers, ``wanted.json`` which one should, ``refused.json`` why a wanted one did not
come to answer. Each is replaced whole. They hold the backend's token, so the folder is its owner's alone.
"""

import os
import shutil
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout
from pydantic import ValidationError

from gradflow.files.documents import Document
from gradflow.files.writing import write_text
from gradflow.guards.errors import InputError, RunError
from serving import bundle

CURRENT = "current.json"
WANTED = "wanted.json"
REFUSED = "refused.json"
LOCK = "lock"
TOKEN = "token"  # noqa: S105  # the name of its file
_BUNDLES = "bundles"
_KEPT = 5  # bundles, the newest: what a roll-back may return to


class Wanted(Document):
    """What should answer: a bundle of this folder, by the digest of its checksums, behind a leg."""

    leg: str
    bundle: str


class Current(Wanted):
    """What answers: where it listens, and the token that it takes."""

    port: int
    token: str


class Refused(Wanted):
    """What was wanted and did not come to answer."""

    why: str


def has_server(folder: Path) -> bool:
    """Whether a server keeps its state there: one that was killed leaves files, but no lock."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True


Kind = TypeVar("Kind", bound=Wanted)


def made(folder: Path) -> Path:
    """The folder, which only its owner can read.

    Raises:
        InputError: It is somebody's folder for something else.
    """
    if folder.exists() and not (folder / LOCK).exists() and any(folder.iterdir()):
        raise InputError("--run", f"must be a new folder or that of an earlier server, got {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def read(path: Path, kind: type[Kind]) -> Kind | None:
    """One of the files; None where there is none.

    Raises:
        RunError: It holds something else.
    """
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, ValueError):
        raise RunError(f"{path}: cannot be read; delete it and start the server again") from None


def write(path: Path, state: Wanted) -> None:
    """Replace one of the files."""
    write_text(path, state.model_dump_json() + "\n")


def keep(folder: Path, source: Path) -> str:
    """Copy a bundle among those of the folder, since ``dvc repro`` makes its own anew while a server runs.

    Returns:
        The digest of its checksums, which is its name there.

    Raises:
        RunError: There is none, or it is damaged.
    """
    digest = bundle.check(source)
    target = place(folder, digest)
    if not target.exists():
        draft = target.with_name(f"{digest}.part")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(source, draft)
        draft.rename(target)
    bundle.check(target)
    os.utime(target)
    in_use = {state.bundle for name in (CURRENT, WANTED) if (state := read(folder / name, Wanted))} | {digest}
    for old in sorted(target.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        if old.name not in in_use:
            shutil.rmtree(old)
    return digest


def place(folder: Path, digest: str) -> Path:
    """Where a bundle of that name lies."""
    return folder / _BUNDLES / digest
