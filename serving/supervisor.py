"""Keeps the wanted backend answering: starts it beside the one that answers, tries it, and lets it take over.

One that dies or falls silent is started again. One that does not start, or answers the trial of its bundle wrongly, is
refused, and what answered before goes on.
"""

import asyncio
from pathlib import Path

import numpy as np

from gradflow.files import documents
from gradflow.guards.errors import RunError
from serving import bundle, current
from serving.backend import Backend, BackendError
from serving.bundle import Trial
from serving.current import Current, Refused, Wanted
from serving.legs import finding

_PAUSE_SECONDS = 0.25
_WATCH_SECONDS = 1.0
_SILENCES = 2  # in a row, until it counts as dead
_DRAIN_SECONDS = 3.0
_LONGEST_BACKOFF_SECONDS = 10.0


class Supervisor:
    """Of the backend of one folder of states.

    Args:
        folder: See :mod:`serving.current`; its ``wanted.json`` names what to start with.

    Attributes:
        trouble: Why nothing answers, in words; empty while something does.
        first: Set when something answers for the first time, or cannot.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._backend: Backend | None = None
        self._state: Wanted | None = None  # of the backend
        self._ending: set[asyncio.Task[None]] = set()
        self.trouble = "the model server is being started"
        self.first = asyncio.Event()

    async def run(self) -> None:
        """Do so until cancelled, or until there is nothing to go on with."""
        both = [asyncio.create_task(each) for each in (self._follow(), self._watch())]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()  # a fault of this program
        finally:
            for each in both:
                each.cancel()
            await asyncio.wait(both)
            (self._folder / current.CURRENT).unlink(missing_ok=True)
            await asyncio.gather(*self._ending, *([self._backend.end()] if self._backend else []))

    async def _follow(self) -> None:
        """Let take over what is wanted, until nothing answers that could go on."""
        while True:
            if (wanted := self._wanted()) and wanted != self._state:
                await self._take(wanted)
                if not self._state:
                    return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _watch(self) -> None:
        """Start again what is dead or silent, also while another is being started to take over."""
        silences, backoff = 0, 1.0
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if not (backend := self._backend):
                continue
            answers = await backend.asked.answers()
            if backend is not self._backend:
                silences = 0
                continue
            silences = 0 if answers else silences + 1
            if answers and not backend.ended():
                self.trouble = ""
            if backend.ended() or silences >= _SILENCES:
                self.trouble = "the model server is being started again"
                silences = 0
                await self._again(backend)
                backoff = 1.0 if not self.trouble else min(2 * backoff, _LONGEST_BACKOFF_SECONDS)
                if self.trouble:
                    await asyncio.sleep(backoff)

    def _wanted(self) -> Wanted | None:
        """What should answer; what does, where the file cannot be read."""
        try:
            return current.read(self._folder / current.WANTED, Wanted) or self._state
        except RunError:
            return self._state

    async def _take(self, wanted: Wanted) -> None:
        """Let a new backend take over, or refuse it."""
        try:
            started = await self._started(wanted)
        except (RunError, OSError) as error:  # no memory, no disk: what answers must not end for that
            current.write(self._folder / current.REFUSED, Refused(**wanted.model_dump(), why=str(error)))
            if self._state:
                current.write(self._folder / current.WANTED, self._state)
            else:
                self.trouble = str(error)
        else:
            (self._folder / current.REFUSED).unlink(missing_ok=True)
            self._swap(wanted, started)
        self.first.set()

    async def _again(self, dead: Backend) -> None:
        """Replace a backend that is dead, or seems so, by another of its kind, which need not wait for its end.

        Where something else has taken over before the other answers, that stays.
        """
        assert self._state
        state = self._state
        try:
            started = await self._started(state)
        except (RunError, OSError) as error:
            if self._backend is dead:
                self.trouble = str(error)
            return
        if self._backend is dead:
            self._swap(state, started)
        else:
            self._retire(started)

    async def _started(self, wanted: Wanted) -> Backend:
        folder = current.place(self._folder, wanted.bundle)
        bundle.check(folder)
        leg = finding.named(wanted.leg)
        if lacks := leg.missing():
            raise RunError(f"--leg {wanted.leg}: {lacks}")
        backend = await Backend(leg, folder).start()
        try:
            await _try(backend, Trial(**documents.read(folder / bundle.TRIAL, Trial)))
        except BaseException:
            await backend.end()
            raise
        return backend

    def _swap(self, state: Wanted, backend: Backend) -> None:
        before, self._backend, self._state = self._backend, backend, state
        current.write(
            self._folder / current.CURRENT, Current(**state.model_dump(), port=backend.port, token=backend.token)
        )
        self.trouble = ""
        if before:
            self._retire(before)

    def _retire(self, backend: Backend) -> None:
        self._ending.add(ending := asyncio.create_task(_retired(backend)))
        ending.add_done_callback(self._ending.discard)


async def _retired(backend: Backend) -> None:
    """End a backend that nobody asks any more, after what it has been asked already."""
    if not backend.ended():
        await asyncio.sleep(_DRAIN_SECONDS)
    await backend.end()


async def _try(backend: Backend, trial: Trial) -> None:
    found = np.array(await backend.asked.probabilities(trial.points))
    right = np.array(trial.probabilities)
    if found.shape != right.shape or not np.abs(found - right).max() <= trial.tolerance:  # nan is no small difference
        raise BackendError("the model server answers the points of the bundle's trial.json with other probabilities")
