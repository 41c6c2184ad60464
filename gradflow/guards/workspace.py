"""While a stage runs, ``dvc exp run`` leaves the files of its checkout alone.

Each ``dvc exp run``, also with ``--temp`` or ``--queue``, stashes all uncommitted changes for a second, writes its own
parameters into params.yaml, and restores everything. A stage that reads or writes in that second would use the code,
the parameters or the outputs of another run, unnoticed. DVC protects its own experiments from each other with a lock
called "workspace" in ``.dvc/tmp/exps/rwlock``. Stages take part in it as readers; DVC then refuses and names the stage.
"""

import atexit
import fcntl
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gradflow.guards import checkout

_NAME = "workspace"
_PAUSE_SECONDS = 0.05
_LONG_PAUSES = 200  # an experiment takes some 2 seconds


def hold() -> None:
    """Wait until no experiment has stashed files of this checkout, and let none do so before this process ends.

    Nothing happens outside a DVC repository, or where the lock cannot be written.
    """
    root = checkout.around(Path.cwd())
    for project in checkout.projects(root) if root else ():
        _hold(project / ".dvc" / "tmp" / "exps")


def _hold(folder: Path) -> None:
    with suppress(OSError):  # on a full disk DVC cannot stash anything either
        folder.mkdir(parents=True, exist_ok=True)
        for pause in itertools.count():
            if not (writer := _entered(folder)):
                break
            if pause == _LONG_PAUSES:  # it was probably killed, and another process has its number
                held = f"process {writer['pid']}: {writer['cmd']}"
                print(f"gradflow: waiting for {held}; if that is no more: rm {folder / 'rwlock'}", file=sys.stderr)
            time.sleep(_PAUSE_SECONDS)
        atexit.register(_leave, folder, os.getpid())


def mend(root: Path) -> None:
    """Empty DVC's own lock of files if DVC was killed while writing it: DVC would refuse all further commands."""
    for project in checkout.projects(root):
        folder = project / ".dvc" / "tmp"
        if folder.exists():  # not in a fresh clone
            with _edited(folder):
                pass


def _entered(folder: Path) -> dict[str, Any] | None:
    """Become a reader, unless there is a living writer; returns that."""
    with _edited(folder) as lock:
        writer: dict[str, Any] | None = lock.get("write", {}).get(_NAME)
        if writer and _lives(writer):
            return writer
        readers = lock.setdefault("read", {}).setdefault(_NAME, [])
        readers[:] = [reader for reader in readers if _lives(reader)]
        readers.append({"pid": os.getpid(), "cmd": f"python -m {' '.join(sys.orig_argv[2:])}"})
    return None


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
