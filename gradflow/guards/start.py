"""How a stage starts: what has to be in place before its imports, which take seconds."""

import atexit
import gc
import sys

from gradflow.guards import interrupts, workspace
from gradflow.guards.errors import say_what_the_system_refused


def stage() -> None:
    """Prepare this process where it was started as ``python -m PACKAGE.STAGE``; called by the packages of stages.

    A signal then ends it with one line, an unexpected OSError prints one line, and no ``dvc exp run`` moves files of
    the checkout while the stage runs.
    """
    if sys.argv[0] != "-m":  # its value while Python is still looking for the module to run
        return
    interrupts.end_at_once()
    sys.excepthook = say_what_the_system_refused
    workspace.hold()
    # A stage runs for seconds, and most of its objects are created by imports and stay. Scanning them for garbage again
    # and again during the imports, and once more at the end, would take 0.3 s and more.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
