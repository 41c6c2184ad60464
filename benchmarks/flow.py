"""How long the flow takes beside ``dvc repro``: from nothing, and with nothing to do.

``python -m benchmarks.flow`` makes copies of this checkout in a temporary folder, starts a Prefect server, and runs
both in turns. From nothing, the flow's time is meant to be at most 0.75 of DVC's where the two trainings dominate,
on at least two cores; with nothing to do at most 6 s after the imports.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import chdir
from pathlib import Path
from statistics import median

import click
import yaml

from benchmarks.pipeline import clone
from pipelines import schedule

CHECKOUT = Path(__file__).parents[1]
REPRO = [sys.executable, "-m", "dvc", "repro", "--quiet"]
FLOW = [sys.executable, "-m", "pipelines.reproduce"]
IMPORTS = [sys.executable, "-c", "import pipelines.reproduce"]


def timed(command: list[str], folder: Path) -> float:
    """Seconds that a command takes."""
    start = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.monotonic() - start


def hashes(folder: Path) -> dict[str, object]:
    """Stage to hashes of its outputs."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {name: stage.get("outs") for name, stage in stages.items()}


@click.command()
@click.option("--epochs", default=100, show_default=True, help="Of each training.")
@click.option("--repeats", default=3, show_default=True, help="Pairs of runs from nothing.")
@click.option("--port", default=4290, show_default=True, help="Of the Prefect server.")
def main(epochs: int, repeats: int, port: int) -> None:
    """Time the flow against `dvc repro`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as temporary, chdir(CHECKOUT):
        base = Path(temporary)
        os.environ |= {"PATH": path, "PREFECT_HOME": str(base / "prefect"), "DVC_SITE_CACHE_DIR": str(base / "dvc")}
        with schedule.server(port) as api:
            os.environ["PREFECT_API_URL"] = api
            ratios, flow = [], base
            for n in range(repeats):
                repro, flow = (clone(base / f"{way}-{n}", {"train.epochs": epochs}) for way in ("repro", "flow"))
                runs: list[tuple[list[str], Path]] = [(REPRO, repro), (FLOW, flow)]
                seconds = {folder: timed(command, folder) for command, folder in runs[:: -1 if n % 2 else 1]}
                same = hashes(repro) == hashes(flow)
                ratios.append(seconds[flow] / seconds[repro])
                click.echo(
                    f"from nothing: dvc repro {seconds[repro]:.1f} s, flow {seconds[flow]:.1f} s, same hashes: {same}"
                )
            click.echo(f"from nothing: flow / dvc repro = {median(ratios):.2f}, at most 0.75 is meant")
            idle = [timed(FLOW, flow) - timed(IMPORTS, flow) for _ in range(repeats)]
            click.echo(f"nothing to do: {median(idle):.1f} s after the imports, at most 6 is meant")


if __name__ == "__main__":
    main()
