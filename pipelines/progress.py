"""How far something is, as a progress bar in Prefect's UI."""

import re
from contextlib import suppress
from typing import cast
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import create_progress_artifact, update_progress_artifact

_EPOCH = re.compile(r": epoch (\d+)/(\d+)")


class Progress:
    """A progress artifact, made when there is something to show."""

    def __init__(self, name: str) -> None:
        # Prefect wants lower-case letters, digits and dashes
        self._key = "progress-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        self._artifact: UUID | None = None

    def show(self, done: int, of: int, description: str) -> None:
        """Say how much is done."""
        percent = 100 * done / of
        with suppress(HTTPError):  # a server that is away for a moment ends no training
            if self._artifact is None:
                made = create_progress_artifact(percent, key=self._key, description=description)
                self._artifact = cast("UUID", made)  # a coroutine in asynchronous flows alone
            else:
                update_progress_artifact(self._artifact, percent, description=description)

    def follow(self, line: str) -> None:
        """Show what a training says, e.g. ``plain: epoch 10/100, loss 0.6931``; ignore other lines."""
        epoch = _EPOCH.search(line)
        if epoch:
            self.show(int(epoch[1]), int(epoch[2]), line)
