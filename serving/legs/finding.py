"""Legs by name: ``serving/legs/<name>/leg.py`` has what :class:`Leg` lists, as functions and values of the module."""

import importlib
from pathlib import Path
from typing import Protocol, cast

from gradflow.guards.errors import InputError, shown

_FOLDER = Path(__file__).parent


class Leg(Protocol):
    """A model server that computes behind the front. Its module imports nothing heavy, since the front imports it."""

    READY: str
    """Path that answers GET with 200 as soon as predictions would succeed."""

    START_SECONDS: float
    """How long to wait for that."""

    @staticmethod
    def missing() -> str:
        """What has to be installed before it can start, in words; empty if nothing."""

    @staticmethod
    def command(bundle: Path, port: int, token: str, scratch: Path) -> tuple[list[str], dict[str, str]]:
        """How to start it, in the foreground: arguments, and variables to add to the environment.

        Args:
            bundle: The folder of the bundle.
            port: Where to listen, on 127.0.0.1 alone.
            token: The only one that it accepts.
            scratch: A folder of this start alone, in which it runs.
        """

    @staticmethod
    def accepted(token: str, scratch: Path) -> str:
        """The token that it accepts: the given one, or another that it has made itself, as soon as it has."""

    @staticmethod
    def headers(token: str) -> dict[str, str]:
        """What to send with each request."""

    @staticmethod
    def request(points: list[list[float]]) -> tuple[str, object]:
        """Path and JSON body of the POST that asks for the probabilities of points (rows, 2)."""

    @staticmethod
    def probabilities(answer: object) -> list[list[float]]:
        """Probabilities (rows, 2) from the JSON of an answer.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """


def names() -> list[str]:
    """All legs."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/leg.py"))


def named(name: str) -> Leg:
    """The leg of that name.

    Raises:
        InputError: There is none, or it cannot start here.
    """
    if name not in names():
        raise InputError("--leg", f"must be one of {', '.join(names())}, got {shown(name)}")
    return cast(Leg, importlib.import_module(f"serving.legs.{name}.leg"))
