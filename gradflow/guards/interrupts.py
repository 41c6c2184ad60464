"""SIGINT (Ctrl-C) and SIGTERM: one line instead of a traceback, and 128 + the signal's number as exit code."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gradflow.guards.errors import RunError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(RunError):
    """A signal ended the work; what could be saved has been.

    Args:
        number: Of the signal.
        message: What was saved, and how to go on.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}: {message}")
        self.exit_code = 128 + number  # type: ignore[misc]  # click has one for each class, this is one for each signal


class Interrupt:
    """The signal that has come, if any.

    Attributes:
        number: Of the first signal; None while there has been none.
    """

    number: int | None = None

    def note(self, number: int, _: FrameType | None) -> None:
        """Remember a signal; the next one of any kind ends the process at once."""
        self.number = number
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)


def end_at_once() -> None:
    """From now on a signal ends the process with one line: for work that leaves nothing half-done."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # a background job of a script does not see Ctrl-C
            signal.signal(number, _end)


@contextmanager
def noticed() -> Iterator[Interrupt]:
    """Within the block the first signal is only noted, for the work to save what it has."""
    interrupt = Interrupt()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, interrupt.note)
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    ended = StoppedError(number, "nothing was left half-done, `dvc repro` goes on from here")
    try:  # not through sys.stderr, which may be in the middle of a line; the terminal may be gone
        os.write(2, f"gradflow: {ended.message}\n".encode())
    finally:
        os._exit(ended.exit_code)
