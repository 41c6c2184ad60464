"""The two ways in which a command ends badly, each with one line on standard error."""

import os
import re
import reprlib
import sys
from types import TracebackType
from typing import IO, Any

import click

_LONGEST = 5_000  # characters: enough to list a hundred variants, not for all that a hostile file can repeat


class RunError(click.ClickException):
    """The run failed although its input was fine: exit code 1; the message says what to do."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        text = without_passwords(message)  # before it is cut, which could leave half of a password
        super().__init__(text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}")

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message, with control characters escaped so that it stays one line."""
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in self.message)
        click.echo(f"gradflow: {line}", file=file or sys.stderr)


class InputError(RunError):
    """What the user wrote cannot be used: exit code 2, and nothing has been changed.

    Args:
        where: What to open and where to look in it, e.g. ``params.yaml: train.lr``.
        rule: What is asked for and what was found, e.g. ``must be > 0, got -1``.
    """

    exit_code = 2

    def __init__(self, where: str, rule: str) -> None:
        super().__init__(f"{where}: {rule}")


def say_what_the_system_refused(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print one line instead of a traceback for an unexpected OSError, e.g. standard output on a full disk."""
    if isinstance(error, OSError):
        RunError(f"{error}; mend that, then run `dvc repro` again").show()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what Python would still write at its end
    else:
        sys.__excepthook__(kind, error, trace)


def without_passwords(text: str) -> str:
    """A text whose addresses have lost their user names and passwords."""
    return re.sub(r"\S+", _without_password, text)  # word by word: one pattern for all would take quadratic time


def _without_password(word: re.Match[str]) -> str:
    before, at, after = word[0].rpartition("@")
    address = re.search(r"://(?!/)", before) if at else None
    return before[: address.end()] + after if address else word[0]


def shown(value: object) -> str:
    """A value as errors show it: short, however large it is."""
    return _SHORT.repr(value)


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
