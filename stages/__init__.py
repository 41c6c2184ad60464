"""One module a stage of DVC's, started as ``python -m stages.NAME``."""

import sys

from gradflow import interrupts, workspace
from gradflow.errors import say_what_the_system_refused

if sys.argv[0] == "-m":  # while Python looks for the module to run: before the first of its imports
    interrupts.end_at_once()
    sys.excepthook = say_what_the_system_refused
    workspace.hold()
