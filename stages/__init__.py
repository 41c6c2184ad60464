"""One module for each stage of the root's pipeline, started as ``python -m stages.NAME``."""

from gradflow.guards import start

start.stage()
