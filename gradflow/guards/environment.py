"""What may stand in the environment: GRADFLOW_DEVICE, _THREADS, _SAVE_SECONDS and _STATES."""

import os
from pathlib import Path

from gradflow.guards.errors import InputError, shown


def check() -> None:
    """Read all of it.

    Raises:
        InputError: A variable has no usable value.
    """
    device()
    threads()
    save_seconds()
    states()


def device() -> str | None:
    """Where to train: cpu or cuda; None where it is left open."""
    name = os.environ.get("GRADFLOW_DEVICE") or None
    if name not in (None, "cpu", "cuda"):
        raise InputError("environment: GRADFLOW_DEVICE", f"must be cpu or cuda, got {shown(name)}")
    return name


def threads() -> int | None:
    """How many CPU threads a stage computes with."""
    return _whole_number("GRADFLOW_THREADS", 1, 1024)


def save_seconds() -> int | None:
    """Seconds between two savings of an unfinished training; 0: only when a signal comes."""
    return _whole_number("GRADFLOW_SAVE_SECONDS", 0, 86_400)


def states() -> Path | None:
    """The folder of unfinished trainings where it is not that of the checkout: several machines may share it."""
    name = os.environ.get("GRADFLOW_STATES") or None
    if name and not Path(name).is_absolute():
        raise InputError("environment: GRADFLOW_STATES", f"must be an absolute path, got {shown(name)}")
    return Path(name) if name else None


def _whole_number(name: str, least: int, most: int) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise InputError(f"environment: {name}", f"must be a whole number from {least} to {most}, got {shown(text)}")
    return int(text)
