"""How a stage starts: what has to be in place before its imports, which take seconds."""

import atexit
import gc
import sys

from gradflow.guards import interrupts, workspace
from gradflow.guards.errors import say_what_the_system_refused


def stage() -> None:
    """Prepare this process where it was started as ``python -m PACKAGE.STAGE``; called by the packages of stages.

    A signal then ends it with one line, an error of the system's is one line too, and no ``dvc exp run`` puts files of
    the checkout aside meanwhile.
    """
    if sys.argv[0] != "-m":  # it stands there while Python looks for the module to run
        return
    interrupts.end_at_once()
    sys.excepthook = say_what_the_system_refused
    workspace.hold()
    # A stage lives for seconds, and most of its objects are what it imports: looking through them for garbage again and
    # again while they come in, and once more before the system takes them back, takes 0.3 s and more.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
