"""A trained network behind HTTP: the bundle of all that travels with it, servers, and a watch over what is asked."""

import sys

from gradflow.guards import start

if sys.argv[0] == "-m":  # its value while Python is still looking for the module to run
    start.python()
