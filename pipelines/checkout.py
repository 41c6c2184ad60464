"""One flow at a time in a DVC project (the root or the studies), whether a schedule or somebody starts it."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.mend import mend


@contextmanager
def alone(root: Path, on_wait: Callable[[str], None]) -> Iterator[int]:
    """Hold the project's lock, waiting for it while another run has it.

    The system releases the lock when the last process that has it open ends, however it ends.

    Args:
        root: Folder of the DVC project.
        on_wait: Called with a line that names the other run, if there is one.

    Yields:
        The lock's file descriptor: a process that inherits it keeps the lock until its own end.
    """
    path = root / ".dvc" / "tmp" / "pipelines.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            on_wait(f"waiting: process {file.read().strip() or '?'} is running in {root}")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        mend(root, on_wait)  # nobody may be there to do so at night
        yield file.fileno()
