"""Which backend answers at the moment, with the bundle that its answers are from and the rows that it was asked for."""

import math
from pathlib import Path

import numpy as np

from gradflow.files import documents
from serving import bundle, current
from serving.backend import Asked, BackendError
from serving.bundle import Description
from serving.current import Current
from serving.drift import Reference
from serving.front.window import Window
from serving.legs import finding

_SUM = 1e-3  # that probabilities may be away from 1


class Served:
    """A backend and its bundle.

    Attributes:
        state: What current.json says.
        folder: The bundle.
        described: What the bundle says.
        window: The last rows.
    """

    def __init__(self, folder: Path, state: Current) -> None:
        self.state, self.folder = state, current.place(folder, state.bundle)
        self.described: Description = bundle.described(self.folder)
        self.reference = Reference(**documents.read(self.folder / bundle.REFERENCE, Reference))
        self.window = Window(self.reference, self.described.monitor)
        self._asked = Asked(finding.named(state.leg), state.port, state.token)

    async def probabilities(self, points: list[list[float]]) -> list[list[float]]:
        """Probabilities (rows, 2) of points (rows, 2), which are noted.

        Raises:
            BackendError: The backend did not answer, or not with one row of two probabilities for each point.
        """
        found = await self._asked.probabilities(points)
        if len(found) != len(points) or not all(_are_probabilities(row) for row in found):
            raise BackendError("the model server answered with something else than probabilities")
        self.window.note(np.array(points), [int(second > first) for first, second in found])
        return found

    def takes_over(self, before: "Served | None") -> None:
        """Go on with the rows of another start of the same bundle."""
        if before and before.state.bundle == self.state.bundle:
            self.window = before.window


class Desk:
    """Knows what is served now, by looking at current.json, which others replace.

    Args:
        folder: See :mod:`serving.current`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / current.CURRENT
        self._seen: tuple[int, int] | None = None
        self._served: Served | None = None

    def served(self) -> Served | None:
        """What answers at this moment; None while nothing does."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        if (seen := (status.st_ino, status.st_mtime_ns)) != self._seen:
            state = current.read(self._path, Current)
            if state is None:
                return None
            served = Served(self._folder, state)
            served.takes_over(self._served)
            self._seen, self._served = seen, served
        return self._served

    async def answer(self, points: list[list[float]]) -> tuple[Served, list[list[float]]]:
        """Probabilities of points, and whose they are; a backend that has just been replaced is not the last word.

        Raises:
            BackendError: Nothing answers.
        """
        served = self.served()
        while served:
            try:
                return served, await served.probabilities(points)
            except BackendError:
                if self.served() in (served, None):
                    raise
                served = self.served()
        raise BackendError("the model server is being started")


def _are_probabilities(row: object) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 2
        and all(isinstance(value, float | int) and math.isfinite(value) for value in row)
        and abs(sum(row) - 1) < _SUM
    )
