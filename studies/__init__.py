"""Further experiments, a folder each; stages of one alone are started as ``python -m studies.NAME.STAGE``."""

from gradflow.guards import start

start.stage()
