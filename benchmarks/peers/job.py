"""The job that every peer does: its command line, its data, and what it hands back."""

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from gradflow.data import dataset

Rows = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class Job:
    """A training: SGD on a network of one kind of block; what has a default here is the recipe."""

    variant: str
    seeds: int
    epochs: int
    data: Path | None
    output: Path
    depth: int = 20
    width: int = 64
    scale: float = sqrt(0.5)
    batch_size: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    clip_norm: float = 1.0
    device: str = "cpu"

    @property
    def branch_scale(self) -> float | None:
        """Factor on the branch of a residual block; None where blocks have no skip."""
        return self.scale if self.variant == "residual" else None

    def rows(self, part: str) -> Rows:
        """Points (rows, 2) and labels (rows,) of the part train or val."""
        points, labels = made()[part] if self.data is None else dataset.read(self.data / f"{part}.parquet")
        return points.astype(np.float32), labels


@cache
def made() -> dict[str, tuple[dataset.Points, dataset.Labels]]:
    """The rows as the recipe makes them: two moons, split, standardised on the train part."""
    from sklearn.datasets import make_moons
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    points, labels = make_moons(n_samples=2000, noise=0.2, random_state=0)
    train, val, train_labels, val_labels = train_test_split(
        points, labels, test_size=0.3, random_state=0, stratify=labels
    )
    scaler = StandardScaler().fit(train)
    return {"train": (scaler.transform(train), train_labels), "val": (scaler.transform(val), val_labels)}


@dataclass
class Trained:
    """What a training found.

    Attributes:
        norms: (steps, seeds, layers) ||dLoss/dW|| before clipping; layers are stem, 1..depth, head.
        accuracy: Validation accuracy of each seed after the last epoch.
        clock: ``time.perf_counter()`` before the first epoch and after each.
    """

    norms: NDArray[np.floating[Any]]
    accuracy: list[float]
    clock: list[float]


def command(
    train: Callable[[Job], Trained], *, variants: Iterable[str] = ("plain", "residual"), most_seeds: int | None = None
) -> click.Command:
    """The command line of a peer: train each variant, write the norms as CSV and print the rest as JSON."""

    def main(chosen: tuple[str, ...], **options: Any) -> None:
        imported = most_memory()
        trained = {variant: train(Job(variant, **options)) for variant in chosen}
        memory = most_memory() - imported
        _write(options["output"], {variant: found.norms for variant, found in trained.items()})
        trainings = {
            variant: {
                "accuracy": found.accuracy,
                "epochs": np.diff(found.clock).tolist(),  # seconds
                "steps_per_epoch": len(found.norms) // options["epochs"],
            }
            for variant, found in trained.items()
        }
        # Memory in bytes above what the imports took.
        click.echo(json.dumps({"trainings": trainings, "memory": memory, "cpu": time.process_time()}))

    parameters: list[click.Parameter] = [
        click.Option(
            ["--variant", "chosen"],
            type=click.Choice(list(variants)),
            multiple=True,
            required=True,
            help="May be said again: one training after the other.",
        ),
        click.Option(["--seeds"], type=click.IntRange(1, most_seeds), default=1, show_default=True),
        click.Option(["--epochs"], type=click.IntRange(1), default=100, show_default=True),
        click.Option(["--data"], type=click.Path(path_type=Path), help="Folder of the rows.  [default: made here]"),
        click.Option(["--output"], type=click.Path(path_type=Path), required=True, help="CSV of the norms."),
        *(
            click.Option([f"--{field.name.replace('_', '-')}"], default=field.default, show_default=True)
            for field in fields(Job)
            if field.default is not MISSING
        ),
    ]
    return click.Command(None, params=parameters, callback=main, help=train.__doc__)


def most_memory() -> int:
    """The most memory that this process has held, in bytes; what getrusage says may be that of whoever started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(kilobytes) * 1024


def _write(path: Path, norms: dict[str, NDArray[np.floating[Any]]]) -> None:
    tables = []
    for variant, of_variant in norms.items():
        step, seed, layer = (index.ravel() for index in np.indices(of_variant.shape, dtype=np.int32))
        columns = {
            "variant": pa.repeat(variant, len(step)),
            "step": step + 1,
            "seed": seed,
            "layer": layer,
            "grad_norm": of_variant.ravel(),
        }
        tables.append(pa.table(columns))
    pa.csv.write_csv(pa.concat_tables(tables), path)
