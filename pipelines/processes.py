"""DVC for a flow run: each command in a process group of its own, its lines handed on, none left at the end."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from pipelines import leash, slots

_STANDBY = str(Path(__file__).with_name("standby.py"))


class RunEndedError(Exception):
    """The run is being ended, and its processes with it."""


class Processes:
    """The DVC processes of one flow run; leaving the context ends those that still run.

    Two more than run are on standby, so that a stage does not wait for DVC's imports. Ending is a matter of closing a
    pipe (see :mod:`pipelines.leash`), which the system does as well when this process is killed.
    """

    def __init__(self, keep_open: int) -> None:
        """``keep_open``: a file descriptor that is held until the last process of the run is gone."""
        self._keep_open = keep_open
        self._standby: list[subprocess.Popen[str]] = []
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        """Open for commands."""
        self._prepare()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """End every command that still runs, and let no further one start."""
        with self._lock:
            self._closed = True
            running, standby = [*self._running], self._standby
        for process in (*running, *standby):
            _let_go(process)
        for process in running:
            process.wait()
        for process in standby:
            _end(process)

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
        with self._lock:
            if self._closed:
                raise RunEndedError
            self._forget_dead()
            process = self._standby.pop(0) if self._standby else self._start()
            self._running.add(process)
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # it has ended, and its lines say why
                process.stdin.write(json.dumps([str(cwd.absolute()), dict(env), list(arguments)]) + "\n")
                process.stdin.flush()
        try:
            assert process.stdout is not None
            lines: list[str] = []
            for text in process.stdout:
                if not lines:  # not before: what DVC does until then would take longer
                    self._prepare()
                lines.append(text.rstrip())
                on_line(lines[-1])
            code = process.wait()
            if self._closed:
                raise RunEndedError
            return code, lines
        finally:
            with self._lock:
                self._running.discard(process)
            _end(process)
            self._prepare()

    def _prepare(self) -> None:
        """Put DVC on standby, unless every core has something to do."""
        cores = slots.cores()
        with self._lock, suppress(OSError):  # no memory, too many processes: stages can do without
            self._forget_dead()
            while not self._closed and len(self._running) < cores and len(self._standby) < min(2, cores):
                self._standby.append(self._start())

    def _forget_dead(self) -> None:
        """One that waits for long may be killed where memory is short."""
        for process in [process for process in self._standby if process.poll() is not None]:
            self._standby.remove(process)
            _end(process)

    def _start(self) -> subprocess.Popen[str]:
        """A DVC that waits to be told what to do."""
        # `python` in a stage's command is this one, however the flow was started
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return subprocess.Popen(  # noqa: S603  # no shell
            # -P: what DVC imports is never a module of this folder
            [sys.executable, "-I", "-S", leash.__file__, sys.executable, "-P", _STANDBY],
            env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            pass_fds=[self._keep_open],
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the others in order
        )


def _let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()


def _end(process: subprocess.Popen[str]) -> None:
    _let_go(process)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
