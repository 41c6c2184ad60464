"""What git says of a folder."""

import subprocess
from pathlib import Path

from gradflow.guards.errors import RunError


def git(folder: Path, *arguments: str, given: str = "") -> str:
    """What a git command prints for what it is given, byte for byte: bytes that are no UTF-8 become surrogates.

    Raises:
        RunError: There is no git, or it refuses; the message is its own, as one line.
    """
    try:
        done = subprocess.run(  # noqa: S603  # no shell
            ["git", *arguments],  # noqa: S607
            cwd=folder,
            input=given.encode(errors="surrogateescape"),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise RunError("git: is not installed") from None
    if done.returncode:
        raise RunError(" ".join(["git:", *done.stderr.decode(errors="replace").split()]))
    return done.stdout.decode(errors="surrogateescape")
