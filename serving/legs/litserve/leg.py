"""LitServe as a leg: see :class:`serving.legs.finding.Leg`."""

import sys
from pathlib import Path
from typing import Any

READY = "/health"
START_SECONDS = 60.0


def missing() -> str:
    """Nothing: it is in this project's environment."""
    return ""


def command(bundle: Path, port: int, token: str, scratch: Path) -> tuple[list[str], dict[str, str]]:
    """``python -m serving.legs.litserve.server``, with the token in a variable, which other users cannot read."""
    del scratch
    return (
        [sys.executable, "-m", "serving.legs.litserve.server", str(bundle), str(port)],
        {"LIT_SERVER_API_KEY": token},
    )


def accepted(token: str, scratch: Path) -> str:
    """The given one."""
    del scratch
    return token


def headers(token: str) -> dict[str, str]:
    """LitServe's own."""
    return {"X-API-Key": token}


def request(points: list[list[float]]) -> tuple[str, object]:
    """All points in one body."""
    return "/predict", {"points": points}


def probabilities(answer: Any) -> list[list[float]]:
    """As the worker made them."""
    found: list[list[float]] = answer["probabilities"]
    return found
