"""standby: DVC with its imports done, waiting to be told what to do.

``python -P standby.py`` reads a line of JSON from standard input, ``[folder, variables, arguments]``, and is from then
on ``dvc ARGUMENTS`` in that folder. Imports are most of what DVC does between two stages, and can be done while a stage
runs. Where standard input ends without a line, so does it.
"""

import atexit
import gc
import json
import os
import sys
from functools import partial

import dvc.cli.parser
import dvc.lock
import dvc.repo.reproduce
import dvc.rwlock
import dvc.utils.strictyaml
import scmrepo.git  # noqa: F401  # what DVC imports only when it comes to it
from dvc.cli import main


def wait() -> int:
    """Wait for the line and do what it says; returns DVC's exit code."""
    gc.freeze()  # what has been imported stays, and is not to be looked through again
    line = sys.stdin.readline()
    if not line:
        return 0
    folder, variables, arguments = json.loads(line)
    os.chdir(folder)
    os.environ.update(variables)
    sys.argv = ["dvc", *arguments]  # DVC notes it in its locks
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())  # what a stage reads has an end
    return int(main(arguments))


if __name__ == "__main__":
    # Stages side by side meet at DVC's locks: it looks six times in that many seconds whether one is free, and then
    # gives up, if it is not told to wait. (The second one is held for milliseconds, and free when its holder dies.)
    dvc.lock.DEFAULT_TIMEOUT = 0.6
    dvc.rwlock.make_lock = partial(dvc.lock.make_lock, wait=True)
    atexit.register(gc.freeze)  # as in `stages`
    sys.exit(wait())
