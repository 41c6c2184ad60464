"""One module a stage of DVC's, started as ``python -m stages.NAME``."""

from gradflow.guards import start

start.stage()
