"""Prefect flows: they run what DVC says depends on what, side by side, on a schedule, with logs and a place to look."""

import atexit
import gc
import sys

if sys.argv[0] == "-m":  # while Python looks for the module to run
    atexit.register(gc.freeze)  # as in `stages`
