"""What became of a stage or an experiment, read from what DVC printed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How it ended; the name of the task run's state."""

    RAN = "Ran"
    CACHED = "Cached"  # not run: its outputs for these inputs were in DVC's cache
    UNCHANGED = "Unchanged"
    PRESENT = "Present"  # an experiment that was there already
    FAILED = "Failed"
    BUSY = "Busy"  # a failure that can pass: another DVC process, or a server that does not answer

    @property
    def failed(self) -> bool:
        """Whether the stage is not up to date."""
        return self in (Kind.FAILED, Kind.BUSY)


@dataclass(frozen=True)
class Outcome:
    """How a stage or an experiment ended.

    Attributes:
        kind: Which of the ways.
        line: For a failure the one line that explains it.
        code: For a failure of the stage's own command its exit code.
        tracked: Where the tracked result is to be seen, if the stage said so.
        seconds: How long DVC was busy with it.
    """

    kind: Kind
    line: str = ""
    code: int = 0
    tracked: str = ""
    seconds: float = 0.0


# What DVC says of its locks, and the tracking stage of a server.
_BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock|^gradflow: \S+: does not answer; ")
_TRACKED = re.compile(r"(?:already )?tracked: (.+)$")
_COMMAND_FAILED = re.compile(r"failed to run: .*, exited with (-?\d+)$")


def of_repro(code: int, lines: Sequence[str]) -> Outcome:
    """Outcome of ``dvc repro --single-item`` from its exit code and its lines."""
    if code:
        return failure(code, lines)
    if any(line.startswith("Running stage ") for line in lines):
        return Outcome(Kind.RAN, tracked=next((found[1] for found in map(_TRACKED.match, lines) if found), ""))
    cached = any(line.endswith("is cached - skipping run, checking out outputs") for line in lines)
    return Outcome(Kind.CACHED if cached else Kind.UNCHANGED)


def of_experiment(code: int, lines: Sequence[str]) -> Outcome:
    """Outcome of ``dvc exp run`` from its exit code and its lines."""
    return failure(code, lines) if code else Outcome(Kind.RAN)


def failure(code: int, lines: Sequence[str]) -> Outcome:
    """Outcome of a command of DVC that failed.

    Its line is the stage's own ``gradflow: ...``, else the last that the stage said, else DVC's.
    """
    errors = [n for n, line in enumerate(lines) if line.startswith("ERROR: ")]
    if not errors:
        return Outcome(Kind.FAILED, f"dvc ended with exit code {code}")
    explanation = lines[errors[0]].removeprefix("ERROR: ")
    if any(_BUSY.search(line) for line in lines[errors[0] :]):
        return Outcome(Kind.BUSY, explanation)
    stopped = _COMMAND_FAILED.search(explanation)
    if not stopped:
        return Outcome(Kind.FAILED, explanation)
    said = [line for line in lines[: errors[0]] if line.strip()]
    own = [line for line in said if line.startswith("gradflow: ")]
    last = own[-1] if own else f"{said[-1]} (exit code {stopped[1]})" if not said[-1].startswith("> ") else explanation
    return Outcome(Kind.BUSY if _BUSY.search(last) else Kind.FAILED, last, int(stopped[1]))
