"""make bench: measure, keep the numbers in results.json, and write the page that shows them."""

import json
import os
import platform
import subprocess
import tempfile
import time
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks import explorer, page, pipeline, trainings
from benchmarks.process import CHECKOUT, timed

Row = dict[str, Any]
RESULTS = CHECKOUT / "benchmarks/results.json"
WRITTEN = ("benchmarks/results.json", "benchmarks/README.md", "benchmarks/measured.png", "benchmarks/measured.svg")
ENGINE = ("peers", "blocks", "logging", "saving", "scaling")
PARTS = (
    "peak",
    *ENGINE,
    "from_nothing",
    "nothing_to_do",
    "flow",
    "stages",
    "tracking",
    "remote",
    "table",
    "studies",
    "kept",
    "routed",
    "explorer",
)
ON_GPU = "gpu"  # a part that has to be asked for
LIBRARIES = ("torch", "numpy", "lightning", "jax", "dvc", "prefect")


def machine() -> dict[str, object]:
    """What the numbers depend on."""
    facts = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in facts if line.startswith("model name")), "unknown")
    packages = {each.name: each.version for each in distributions()}
    versions = {"python": platform.python_version()} | {name: packages[name] for name in LIBRARIES if name in packages}
    if torch.cuda.is_available():
        model += f", {torch.cuda.get_device_name()}"
    code = subprocess.check_output(["git", "describe", "--always"], cwd=CHECKOUT, text=True).strip()
    # What other parts have just measured changes nothing that is measured.
    changed = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", *(f":!{path}" for path in WRITTEN)]
    if subprocess.check_output(changed, cwd=CHECKOUT):
        code += "-dirty"
    return {"code": code, "cpu": model, "cores": os.cpu_count(), "system": platform.system(), "versions": versions}


class Bench:
    """What the parts measure with: copies of the project in a temporary folder, each made when it is first used."""

    def __init__(self, base: Path, port: int, *, quick: bool) -> None:
        self.base, self.port, self.quick = base, port, quick

    @property
    def data(self) -> Path:
        """The scaled rows."""
        folder = self.base / "rows"
        if not folder.exists():
            timed([*pipeline.REPRO, "scale"], pipeline.clone(folder, {}), **pipeline.private(self.base))
        return folder / "data/scaled"

    @property
    def done(self) -> Path:
        """A clone in which everything has run."""
        folder = self.base / "done"
        return folder if folder.exists() else pipeline.finished(folder, quick=self.quick)

    @property
    def single(self) -> Path:
        """The same with one seed."""
        folder = self.base / "single"
        return folder if folder.exists() else pipeline.finished(folder, quick=self.quick, seeds=1)

    @property
    def empty(self) -> Path:
        """A pipeline without content."""
        folder = self.base / "empty"
        return folder if folder.exists() else pipeline.empty_like(self.done, folder)

    def measure(self, part: str, turn: int) -> list[Row]:
        """One round of a part."""
        match part:
            case _ if part in (*ENGINE, ON_GPU):
                folder = self.base if part == ON_GPU else self.data  # where there is a GPU, there may be no DVC
                return getattr(trainings, part)(folder, turn, quick=self.quick)
            case "peak" | "kept" | "routed":
                return trainings.peak() if part == "peak" else getattr(trainings, part)(turn, quick=self.quick)
            case "stages" | "tracking" | "remote" | "table" | "studies":
                return getattr(pipeline, part)(self.base if part == "studies" else self.done, turn)
            case "flow":
                return pipeline.flow(self.base, turn, self.port, quick=self.quick)
            case "nothing_to_do" | "explorer":
                return explorer.opened() if part == "explorer" else pipeline.nothing_to_do(self.done, self.empty, turn)
            case _:
                return pipeline.from_nothing(self.base, self.single, turn, self.port, quick=self.quick)


@click.command()
@click.option(
    "--part", "parts", type=click.Choice([*PARTS, ON_GPU]), multiple=True, help="Only this; may be said again."
)
@click.option("--page", "page_alone", is_flag=True, help="Measure nothing, write the page anew.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of each part.")
@click.option("--quick", is_flag=True, help="Few epochs and small networks: to see that it works, not for numbers.")
@click.option("--port", default=4291, show_default=True, help="Of the Prefect server.")
def main(parts: tuple[str, ...], page_alone: bool, rounds: int, quick: bool, port: int) -> None:
    """Measure the parts (default: all) round by round; what was measured of others before stays."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if page_alone:
        page.write(results, RESULTS.parent)
        return
    here = machine()  # before the results of a part change the checkout
    with tempfile.TemporaryDirectory(prefix="gradflow-bench-") as base:
        os.environ.update(pipeline.private(Path(base)))
        bench = Bench(Path(base), port, quick=quick)
        for part in parts or PARTS:
            rows: list[Row] = []
            for turn in range(rounds):
                start = time.monotonic()
                rows += [row | {"round": turn} for row in bench.measure(part, turn)]
                click.echo(f"{part}: round {turn + 1} of {rounds}, {time.monotonic() - start:.0f} s")
            if quick and not results.get(part, {"quick": True})["quick"]:
                click.echo(f"{part}: what was measured at full size stays")
                continue
            results[part] = {"machine": here, "quick": quick, "rows": rows}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            page.write(results, RESULTS.parent)


if __name__ == "__main__":
    main()
