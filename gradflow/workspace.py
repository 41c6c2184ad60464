"""While a stage runs, ``dvc exp run`` leaves the files of its checkout alone.

Each ``dvc exp run``, also with ``--temp`` or ``--queue``, for a second puts all uncommitted changes aside, writes its
own parameters into params.yaml and brings everything back. A stage that reads or writes meanwhile has the code, the
parameters or the outputs of another run, and nobody notices. DVC keeps its own experiments apart with a lock called
"workspace" in ``.dvc/tmp/exps/rwlock``; stages take part in it as readers, and DVC then says who is in its way.
"""

import atexit
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_NAME = "workspace"
_PAUSE_SECONDS = 0.05


def hold() -> None:
    """Wait until no experiment has put files of this checkout aside, and let none do so before this process ends.

    Nothing happens outside a DVC repository, or where the lock cannot be written.
    """
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), None)
    if root is None:
        return
    folder = root / ".dvc" / "tmp" / "exps"
    with suppress(OSError):  # on a full disk DVC cannot put anything aside either
        folder.mkdir(parents=True, exist_ok=True)
        while not _entered(folder):
            time.sleep(_PAUSE_SECONDS)
        atexit.register(_leave, folder, os.getpid())


def _entered(folder: Path) -> bool:
    """Whether this process could become a reader: when there is no living writer."""
    with _edited(folder) as lock:
        writer = lock.get("write", {}).get(_NAME)
        if writer and _lives(writer):
            return False
        readers = lock.setdefault("read", {}).setdefault(_NAME, [])
        readers[:] = [reader for reader in readers if _lives(reader)]
        readers.append({"pid": os.getpid(), "cmd": f"python -m {' '.join(sys.orig_argv[2:])}"})
    return True


def _leave(folder: Path, pid: int) -> None:
    with suppress(OSError), _edited(folder) as lock:
        readers = lock.get("read", {}).get(_NAME, [])
        readers[:] = [reader for reader in readers if reader["pid"] != pid]
        if not readers:
            lock.get("read", {}).pop(_NAME, None)


@contextmanager
def _edited(folder: Path) -> Iterator[dict[str, Any]]:
    """DVC's document of readers and writers, written back at the end, while nobody else edits it."""
    path = folder / "rwlock"
    with (folder / "rwlock.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            lock: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # ValueError: a DVC that was killed while it wrote
            lock = {}
        yield lock
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(lock), encoding="utf-8")
        draft.replace(path)


def _lives(process: dict[str, Any]) -> bool:
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
