"""The DVC commands of a flow run: each in a process group of its own, none left running at the end."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pipelines import leash


class RunEndedError(Exception):
    """The run is being ended, and its processes with it."""


class Processes:
    """The DVC processes of one flow run; leaving the context ends those that still run.

    Ending is a matter of closing a pipe (see :mod:`pipelines.leash`), which the system does as well when this
    process is killed.
    """

    def __init__(self, keep_open: int) -> None:
        """``keep_open``: a file descriptor that is held until the last process of the run is gone."""
        self._keep_open = keep_open
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        """Open for commands."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End every command that still runs, and let no further one start."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            _let_go(process)
        for process in running:
            process.wait()

    def run(
        self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], on_line: Callable[[str], None]
    ) -> tuple[int, list[str]]:
        """Run a command of DVC and wait for it.

        Args:
            arguments: What follows ``dvc``.
            cwd: Where it runs.
            env: Variables set on top of this process's own.
            on_line: Called with each line of standard output and error, without its end.

        Returns:
            The exit code and all lines.

        Raises:
            RunEndedError: The context was left, before or meanwhile.
        """
        # `python` in a stage's command is this one, however the flow was started
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        with self._lock:
            if self._closed:
                raise RunEndedError
            process = subprocess.Popen(  # noqa: S603  # no shell
                [sys.executable, "-I", "-S", leash.__file__, sys.executable, "-m", "dvc", *arguments],
                cwd=cwd,
                env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                pass_fds=[self._keep_open],
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others in order
            )
            self._running.add(process)
        try:
            assert process.stdout is not None
            lines = []
            with process.stdout:
                for text in process.stdout:
                    lines.append(text.rstrip())
                    on_line(lines[-1])
            code = process.wait()
            if self._closed:
                raise RunEndedError
            return code, lines
        finally:
            with self._lock:
                self._running.discard(process)
            _let_go(process)
            process.wait()


def _let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
