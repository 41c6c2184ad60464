"""tracking: how long the stage track takes on the results that lie here, part by part, in a database of its own."""

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from gradflow.tracking import environment, origin, result

FOLDERS = (Path(name) for name in ("params.yaml", "dvc.lock", "data", "models", "logs", "reports"))


def main() -> None:
    """Print the seconds of each part of the stage as JSON."""
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
    seconds = {
        "imports": imported - started,
        "first use of a database": made - imported,
        "log_model": in_log_model,
        "all else": ended - made - in_log_model,
        "in all": ended - started,
    }
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
