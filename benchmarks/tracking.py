"""How long tracking takes on the results that lie here, in a database of its own: python -m benchmarks.tracking."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from gradflow.tracking import environment, origin, result

FOLDERS = (Path(name) for name in ("params.yaml", "dvc.lock", "data", "models", "logs", "reports"))


def main() -> None:
    """Print the seconds of each part of the stage."""
    started = time.perf_counter()
    environment.prepare()
    from gradflow.tracking import models, runs, store

    imported = time.perf_counter()
    in_log_model = 0.0
    log_model = models.log

    def timed(*arguments: Any) -> str:
        nonlocal in_log_model
        start = time.perf_counter()
        model = log_model(*arguments)
        in_log_model += time.perf_counter() - start
        return model

    models.log = timed
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        where = store.find()
        with where.connected():
            made = time.perf_counter()
        runs.track(result.read(result.Artefacts(*FOLDERS)), origin.current(), where, "gradflow")
    ended = time.perf_counter()
    for part, seconds in {
        "imports": imported - started,
        "make the database (first use)": made - imported,
        "log_model": in_log_model,
        "all else": ended - made - in_log_model,
        "total": ended - started,
    }.items():
        print(f"{part:30} {seconds:6.2f} s")


if __name__ == "__main__":
    main()
