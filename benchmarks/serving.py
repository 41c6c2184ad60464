"""make serve-bench: how long an answer takes, from each leg alone, with one client: benchmarks/serving.json.

Times are those of a client on the same machine. *front* is what clients see; *alone* asks the model server itself, so
that what the front costs is seen.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import httpx
import numpy as np
import psutil

from benchmarks.process import CHECKOUT, ENVIRONMENT
from benchmarks.run import machine
from gradflow.files.writing import write_json
from serving.legs import finding

_RESULTS = "benchmarks/serving.json"
_WARM_UP = 50
_REQUESTS = 400
_BATCHES = (1, 127)
_FULL = 1000  # rows of a request whose rate is measured
_RATE_SECONDS = 5.0


@click.command()
@click.option("--leg", "legs", multiple=True, help="Only these; default: all that can start here.")
def main(legs: tuple[str, ...]) -> None:
    """Measure and print; write benchmarks/serving.json if all legs were measured: on one machine, of one code."""
    rows = []
    for leg in legs or finding.names():
        if lacks := finding.named(leg).missing():
            click.echo(f"{leg}: left out, {lacks}")
            continue
        rows.append(_measured(leg))
        click.echo(json.dumps(rows[-1]))
    if {row["leg"] for row in rows} != set(finding.names()):
        click.echo(f"{_RESULTS} stays as it is: not all legs were measured", err=True)
        return
    write_json(CHECKOUT / _RESULTS, {"machine": machine(), "load": os.getloadavg(), "rows": rows})


def _measured(leg: str) -> dict[str, Any]:
    """All numbers of one leg."""
    with tempfile.TemporaryDirectory() as above:
        run = Path(above, "run")
        command = [sys.executable, "-m", "serving.serve", "--leg", leg, "--port", "0", "--run", str(run)]
        began = time.monotonic()
        with subprocess.Popen(command, cwd=CHECKOUT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout
                line = server.stdout.readline()
                started = time.monotonic() - began
                if not line:
                    raise RuntimeError(f"{leg} does not start, see above")
                address, token = line.split()[2].rstrip(","), (run / "token").read_text().strip()
                state = json.loads((run / "current.json").read_text())
                module = finding.named(leg)
                front = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60)
                alone = httpx.Client(
                    base_url=f"http://127.0.0.1:{state['port']}", headers=module.headers(state["token"]), timeout=60
                )

                def through(points: list[list[float]]) -> None:
                    front.post("/predict", json={"points": points}).raise_for_status()

                def straight(points: list[list[float]]) -> None:
                    path, body = module.request(points)
                    alone.post(path, json=body).raise_for_status()

                found: dict[str, Any] = {"leg": leg, "start_seconds": started}
                for name, ask in (("front", through), ("alone", straight)):
                    found[name] = {str(batch): _latency(ask, batch) for batch in _BATCHES}
                    found[name]["rows_per_second"] = _rate(ask)
                below = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
                found["processes"] = len(below)
                found["resident_bytes"] = sum(each.memory_info().rss for each in below)
                bundle = CHECKOUT / "serving" / "bundle"
                found["bundle_bytes"] = _size(bundle, without=set(finding.names()) - {leg})
                return found
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(60)


def _latency(ask: Callable[[list[list[float]]], None], batch: int) -> dict[str, float]:
    """Seconds of a request of so many rows, one after the other."""
    points = np.random.default_rng(0).uniform(-1, 2, (batch, 2)).tolist()
    for _ in range(_WARM_UP):
        ask(points)
    seconds = []
    for _ in range(_REQUESTS):
        began = time.perf_counter()
        ask(points)
        seconds.append(time.perf_counter() - began)
    return {"requests": _REQUESTS, "p50": float(np.median(seconds)), "p99": float(np.quantile(seconds, 0.99))}


def _rate(ask: Callable[[list[list[float]]], None]) -> float:
    """Rows a second, in requests as large as the limit allows, one after the other."""
    points = np.random.default_rng(0).uniform(-1, 2, (_FULL, 2)).tolist()
    ask(points)
    began, rows = time.perf_counter(), 0
    while time.perf_counter() - began < _RATE_SECONDS:
        ask(points)
        rows += _FULL
    return rows / (time.perf_counter() - began)


def _size(folder: Path, without: set[str]) -> int:
    """Bytes of a bundle without what other legs take from it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if path.relative_to(folder).parts[0] not in without)


if __name__ == "__main__":
    main()
