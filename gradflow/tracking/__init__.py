"""Tracking: each result of the pipeline once in MLflow, with its parameters, curves, files and models.

The only package that imports MLflow. What is set here must be set before MLflow is imported, and holds
for every way into the package.
"""

import os

os.environ.update(
    {
        "DO_NOT_TRACK": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    }
)
# A server that does not answer: three attempts of 12 s and the pauses between them stay below a minute.
for _name, _value in {
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "12",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}.items():
    os.environ.setdefault(_name, _value)
