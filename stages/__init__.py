"""One module a stage of DVC's, started as ``python -m stages.NAME``."""

import atexit
import gc
import sys

from gradflow import interrupts, workspace
from gradflow.errors import say_what_the_system_refused

if sys.argv[0] == "-m":  # while Python looks for the module to run: before the first of its imports
    interrupts.end_at_once()
    sys.excepthook = say_what_the_system_refused
    workspace.hold()
    # A stage lives for seconds, and most of its objects are what it imports: looking through them for garbage again and
    # again while they come in, and once more before the system takes them back, takes 0.3 s and more.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
