"""Prefect flows, which run DVC's stages in parallel and on a schedule, and further commands that use DVC."""

import atexit
import gc
import sys
import warnings

from gradflow.guards import start

if sys.argv[0] == "-m":  # while Python is still looking for the module to run
    start.python()
    atexit.register(gc.freeze)  # as in gradflow/guards/start.py
    warnings.filterwarnings("ignore", "Failed to create the Prefect home")  # said where Prefect needs it
