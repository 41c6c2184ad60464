"""Unfinished trainings: a training that is stopped or killed leaves its state, and the same work goes on from it.

The state lies in ``.unfinished/`` of the checkout, beside whatever DVC keeps, or in the folder that GRADFLOW_STATES
names. Its name is a fingerprint of all that the result depends on, so no other work ever sees it, and experiments in
copies of the checkout, or on other machines, find it too. It is deleted when the training has written its outputs.
"""

import hashlib
import io
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gradflow.files.writing import replacing
from gradflow.guards import checkout, environment
from gradflow.guards.errors import RunError
from gradflow.guards.interrupts import Interrupt, StoppedError, noticed

FOLDER = ".unfinished"
_SECONDS = 5  # between two savings, unless GRADFLOW_SAVE_SECONDS says otherwise
_REACHED = "reached"
_DIGEST = hashlib.sha256().digest_size  # bytes at the start of a file
# States that no training has continued are kept for so long.
_DAY = 24 * 3600  # seconds, in which size does not count
_KEPT_SECONDS = 14 * _DAY
_KEPT_BYTES = 4 * 2**30
_SHARE = 1 / 50  # of its time, at most, that a training spends on copying its state


class Unfinished:
    """The state of one training, saved every few seconds by a thread beside it.

    Args:
        path: Its file.
        every: Seconds between two savings; 0: only when a signal comes.
        interrupt: Tells of signals.
        pool: One thread.
    """

    def __init__(self, path: Path, every: float, interrupt: Interrupt, pool: ThreadPoolExecutor) -> None:
        self.path = path
        self._every, self._interrupt, self._pool = every or float("inf"), interrupt, pool
        self._next = time.monotonic() + self._every
        self._writing: Future[None] | None = None
        self._warned = False

    def read(self) -> dict[str, NDArray[Any]] | None:
        """What an earlier process saved, by name, and a line that says so; None where there is nothing.

        A damaged file is set aside with a warning.
        """
        try:
            with self.path.open("rb") as file:
                state = _read(file)
        except FileNotFoundError:
            return None
        except ValueError:
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            _warn(f"{self.path}: is damaged, now called {aside.name}; the training starts over")
            return None
        click.echo(f"going on from {state.pop(_REACHED)}, which an earlier run saved")
        return state

    def due(self) -> bool:
        """Whether to save now."""
        if self._interrupt.number is not None:
            return True
        return time.monotonic() >= self._next and (self._writing is None or self._writing.done())

    def save(self, state: Mapping[str, Tensor], reached: str) -> None:
        """Save copies of tensors; when a signal has come, end.

        Where they cannot be saved, e.g. on a full disk, a warning says so and the training goes on.

        Args:
            state: By name.
            reached: How far the training is, for people.

        Raises:
            StoppedError: A signal had come.
        """
        start = time.monotonic()
        arrays = {name: tensor.detach().to("cpu", copy=True).numpy() for name, tensor in state.items()}
        arrays[_REACHED] = np.array(reached)
        self._next = time.monotonic() + max(self._every, (time.monotonic() - start) / _SHARE)
        saved = self._written()
        self._writing = self._pool.submit(_write, self.path, arrays)
        if self._interrupt.number is not None:
            saved = self._written()
            done = f"{reached} saved" if saved else f"{reached} could not be saved"
            go_on = "goes on from there" if saved else "starts it over"
            if not saved and self.path.is_file():
                go_on = "goes on from what was saved before"
            raise StoppedError(self._interrupt.number, f"{done}, `dvc repro` {go_on}")

    def _written(self) -> bool:
        """Wait for the thread; whether it could write."""
        error = self._writing.exception() if self._writing else None
        if isinstance(error, RunError):
            if not self._warned:
                _warn(f"{error.message}; the training goes on, but a kill would lose it")
            self._warned = True
        elif error:
            raise error
        return not error


@contextmanager
def kept(fingerprint: str) -> Iterator[Unfinished]:
    """The state of the training of that fingerprint; when the block ends without an error it is deleted.

    Where there is only one of the same work in other circumstances, a line says that it cannot be used.

    Raises:
        InputError: GRADFLOW_SAVE_SECONDS or GRADFLOW_STATES has no usable value.
        StoppedError: A signal came when there was no further state to save; the last one stays.
    """
    seconds = environment.save_seconds()
    folder = environment.states() or checkout.root() / FOLDER
    path = folder / f"{fingerprint}.npz"
    _prune(folder, fingerprint)
    if not path.exists() and any(folder.glob(f"{fingerprint.partition('-')[0]}-*.npz")):
        differs = "another kind of processor, or another device, number of threads or version of a library"
        click.echo(f"an earlier run saved a state with {differs}: the training starts over")
    with noticed() as interrupt:
        with ThreadPoolExecutor(1) as pool:
            yield Unfinished(path, _SECONDS if seconds is None else seconds, interrupt, pool)
        if interrupt.number is not None:
            raise StoppedError(interrupt.number, "the training is done, `dvc repro` goes on from there")
        path.unlink(missing_ok=True)  # there may have been no room to save it


def fingerprint(
    work: Mapping[str, object],
    circumstances: Mapping[str, object],
    inputs: Iterable[Path] = (),
    made: Iterable[Path] = (),
) -> str:
    """A name for everything that a training's result depends on, in two parts with a dash between them.

    Args:
        work: Parameters; plain JSON values. With the data and the code they are the first part.
        circumstances: Processor, device and versions of libraries, likewise: the second part.
        inputs: The files that it reads.
        made: Those that were compiled for it, which belong to the circumstances.
    """
    # The code that has been imported is the code that the work depends on.
    own = {"gradflow", "stages", "studies", "__main__"}
    modules = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    code = {name: file for name, file in modules.items() if name.split(".")[0] in own and file}
    parts = (
        {
            "work": work,
            "inputs": [_digest(path) for path in inputs],
            "code": {name: _digest(Path(file)) for name, file in code.items()},
        },
        {"circumstances": circumstances, "made": [_digest(path) for path in made]},
    )
    return "-".join(hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16] for part in parts)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(file: io.BufferedReader) -> dict[str, NDArray[Any]]:
    """The arrays of a file.

    Raises:
        ValueError: It is not as it was written, or holds objects.
    """
    digest = file.read(_DIGEST)
    if hashlib.file_digest(file, "sha256").digest() != digest:
        raise ValueError
    file.seek(_DIGEST)
    with np.load(file, allow_pickle=False) as held:
        return dict(held)


def _write(path: Path, arrays: dict[str, Any]) -> None:
    with replacing(path) as file:
        file.seek(_DIGEST)
        np.savez(file, allow_pickle=False, **arrays)
        file.seek(_DIGEST)
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        file.write(digest)


def _prune(folder: Path, fingerprint: str) -> None:
    """Delete states that no training has continued: old ones, and the oldest of too many."""
    others = []
    for other in folder.glob("*"):
        with suppress(FileNotFoundError):  # a training beside this one is done
            others += [(other.stat(), other)] * (not other.name.startswith(fingerprint))
    total = 0
    for facts, other in sorted(others, key=lambda pair: -pair[0].st_mtime):
        total, age = total + facts.st_size, time.time() - facts.st_mtime
        if age > _KEPT_SECONDS or (age > _DAY and total > _KEPT_BYTES):
            other.unlink(missing_ok=True)


def _warn(line: str) -> None:
    click.echo(f"gradflow: warning: {line}", err=True)
