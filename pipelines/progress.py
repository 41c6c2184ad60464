"""How far a training is, as a progress bar in Prefect's UI."""

import re
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

_EPOCH = re.compile(r": epoch (\d+)/(\d+)")


class Progress:
    """A progress artifact that follows the lines of one stage; none for a stage that reports no epochs."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._artifact: UUID | None = None

    def follow(self, line: str) -> None:
        """Look at a line such as ``plain: epoch 10/100, loss 0.6931``."""
        found = _EPOCH.search(line)
        if not found:
            return
        percent = 100 * int(found[1]) / int(found[2])
        if self._artifact is None:
            made = create_progress_artifact(percent, key=key(f"progress-{self._address}"), description=line)
            self._artifact = cast("UUID", made)  # a coroutine in asynchronous flows alone
        else:
            update_progress_artifact(self._artifact, percent, description=line)


def key(text: str) -> str:
    """A text as Prefect wants the key of an artifact: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
