"""Writing files: a crash, a kill or a full disk leaves the old file or the new one, never a part of it."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path
from typing import Any

from boltons.fileutils import atomic_save

from gradflow.guards.errors import RunError

# The file that is being written lies beside the one whose place it will take; git and DVC ignore this ending.
_PART = ".part"
_STALE_SECONDS = 3600  # longer than any writing takes: its process was killed


@contextmanager
def replacing(path: Path) -> Iterator[BufferedRandom]:
    """A binary file that takes the place of ``path``, synchronised to the disk, when the block ends well.

    Raises:
        RunError: It cannot be written, e.g. on a full disk; whatever lay at ``path`` is as it was.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_PART}")  # two processes may write the same file
    saving = atomic_save(str(path), part_file=part.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{path.name}.*{_PART}"):
            with suppress(FileNotFoundError):  # it has been moved to its place meanwhile
                if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                    left.unlink()
        with saving as file:
            yield file
    except OSError as error:
        with suppress(OSError):
            part.unlink()
            saving.part_file.close()  # left open where its last bytes could not be written
        reason = error.strerror or str(error).split("\n", 1)[0][:80]
        raise RunError(f"{path}: cannot be written ({reason}); mend that, then run `dvc repro` again") from None


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; for errors see :func:`replacing`."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document without nan or inf; for errors see :func:`replacing`."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
