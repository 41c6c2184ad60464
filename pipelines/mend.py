"""mend: repair the files of its own that DVC was killed while writing.

DVC writes its lock of files and each dvc.lock in place, and from then on refuses one that is half-written.
``make reproduce``, ``make studies`` and flows do this first.
"""

import time
from collections.abc import Callable
from pathlib import Path

import click
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.utils import strictyaml

from gradflow.guards import checkout, workspace
from gradflow.guards.errors import RunError
from pipelines.git import git

_KNOWN_OR_NEW = ("H", "?")  # to git, which writes M where a merge has left conflicts
_WRITTEN_SECONDS = 3  # a younger lock file may be one that DVC is just writing


def mend(root: Path, say: Callable[[str], object]) -> None:
    """Make DVC usable again.

    Its own lock of files is emptied. A dvc.lock becomes what git has of it, or is deleted where git has none: what has
    run since comes out of the run cache. One with conflicts of a merge is left to its owner.

    Args:
        root: Folder of the DVC project.
        say: Called with a line for each dvc.lock that was mended, or with git's own where it does not work here.
    """
    workspace.mend(root)
    known = ("-z", "-t", "--cached", "--others", "--exclude-standard")
    try:
        listed = git(root, "ls-files", *known, "dvc.lock", "*/dvc.lock")
    except RunError as error:  # no reason to stop: `dvc repro` works without git
        say(f"no dvc.lock can be checked or mended: {error.message}")
        return
    for entry in filter(None, listed.split("\0")):
        state, _, name = entry.partition(" ")
        if state in _KNOWN_OR_NEW and _torn(root / name):
            if state == "H":
                git(root, "checkout", "--quiet", "--", name)
            else:
                (root / name).unlink()
            say(f"{name} was half-written, what has run since the last commit comes from DVC's run cache")


def _torn(lock: Path) -> bool:
    """Whether DVC refuses a lock file, also when it has had time to be written to its end."""
    while lock.is_file():
        try:
            strictyaml.load(str(lock), Lockfile.SCHEMA)
        except DvcException:
            if not 0 <= time.time() - lock.stat().st_mtime < _WRITTEN_SECONDS:
                return True
            time.sleep(0.1)
        else:
            return False
    return False


@click.command()
def main() -> None:
    """Repair the files that DVC left half-written when it was killed."""
    mend(checkout.root(), lambda line: click.echo(f"gradflow: {line}", err=True))


if __name__ == "__main__":
    main()
