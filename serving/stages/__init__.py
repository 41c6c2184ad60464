"""From the pipeline's results to a bundle: one module for each stage, started as ``python -m serving.stages.NAME``."""

from gradflow.guards import start

start.stage()
