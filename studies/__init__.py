"""Further experiments, one folder each; their own stages are started as ``python -m studies.NAME.STAGE``."""

from gradflow.guards import start

start.stage()
