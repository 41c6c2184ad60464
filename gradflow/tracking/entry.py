"""What is tracked of one result, whichever pipeline made it, and how files become parameters, numbers and curves."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

if TYPE_CHECKING:  # whoever only reads a result needs no PyTorch
    import pandas as pd
    from torch import nn

    from gradflow.kit.network import Network

# A network as a module on what the source has, and a few inputs of it, (rows, ...).
Model = Callable[["Network"], tuple["nn.Module", NDArray[Any]]]

EXAMPLE_ROWS = 5
CURVES = "curves/"  # the section that a page of charts begins with


class Point(NamedTuple):
    """One point of a curve."""

    name: str
    value: float
    epoch: int


class Seed(NamedTuple):
    """The best seed of a variant, and its last losses; nan where its training knows none."""

    seed: int
    val_loss: float = math.nan
    val_accuracy: float = math.nan


@dataclass(frozen=True)
class DataSet:
    """One split of the data; ``digest`` is the MD5 that dvc.lock has of the file."""

    split: str
    name: str
    path: Path
    rows: int
    digest: str
    source: dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One network of the result.

    Attributes:
        name: Its key in params.yaml.
        numbers: What metrics.json says of it, as one number each; what is null there is left out.
        curves: Means over seeds and spreads by epoch, and what else there is by epoch. What stands before a / is the
            section in which MLflow draws it: those come first, and final numbers behind them.
        tags: What is known of its training, such as the device, and its diverged seeds.
        checkpoint: The weights of all seeds.
        trained: The configuration that the checkpoint must have.
        best: The best seed at the end of training; None where every seed diverged.
        model: What is logged of that seed.
        layers: A small table by layer, column to its values; empty where there is none.
    """

    name: str
    numbers: dict[str, float]
    curves: list[Point]
    tags: dict[str, str]
    checkpoint: Path
    trained: Mapping[str, Any]
    best: Seed | None
    model: Model
    layers: Mapping[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One run of a pipeline.

    Attributes:
        name: What to call it where no experiment gives it a name.
        source: What has made it.
        params: All parameters, flat: ``train.lr`` to ``0.1``.
        data: The train and the validation split, as far as they are files.
        data_hash: SHA-256 of the data. Losses are comparable where it is the same, and the models are registered, the
            best one as champion; empty where none are.
        variants: In the order of params.yaml.
        files: What to keep with the result, by folder; the checkpoints belong to the variants.
        fingerprint: SHA-256 of the parameters and of the content of all files, hence of the result.
    """

    name: str
    source: str
    params: dict[str, str]
    data: list[DataSet]
    data_hash: str
    variants: list[Variant]
    files: dict[str, list[Path]]
    fingerprint: str


def files(tables: list[Path], reports: Path, params: Path, lock: Path) -> dict[str, list[Path]]:
    """What to keep with a result, by folder: tables, metrics, parameters, the lock file if there is one; figures."""
    figures = sorted(path for path in (reports / "figures").glob("*") if path.suffix in {".png", ".svg"})
    return {"": [*tables, reports / "metrics.json", *filter(Path.is_file, [lock]), params], "figures": figures}


def losses(history: "pd.DataFrame") -> Iterator[Point]:
    """Under ``curves/`` the mean over the seeds that are still training, under ``spread/`` their standard deviation.

    Args:
        history: Columns seed and epoch, and those whose mean is taken; one variant.
    """
    columns = [name for name in history.columns if name not in ("variant", "seed", "epoch")]
    by_epoch = history.groupby("epoch")[columns]
    for prefix, table in ((CURVES, by_epoch.mean()), ("spread/", by_epoch.std(ddof=0))):
        for name in columns:
            yield from (
                Point(f"{prefix}{name}", value, epoch) for epoch, value in zip(table.index, table[name], strict=True)
            )


def last(curves: Iterable[Point]) -> dict[str, float]:
    """Where the mean of each curve ends, as a number of its own."""
    return {point.name.removeprefix(CURVES): point.value for point in curves if point.name.startswith(CURVES)}


def drawable(points: Iterator[Point]) -> list[Point]:
    """Those that are finite: MLflow would draw an infinite one at 1e308."""
    return [point for point in points if math.isfinite(point.value)]


def numbers(found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Means of what has a spread, and all else that is one number: a list by layer is in metrics.json."""
    for key, value in found.items():
        number = value["mean"] if isinstance(value, Mapping) else value
        if isinstance(number, int | float) and math.isfinite(number):
            yield key, float(number)


def flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys with their values as text."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def fingerprint(params: Mapping[str, str], content: list[Path]) -> str:
    """SHA-256 of parameters and of the content of files, in whichever order they come."""
    digests = {f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in content}
    return hashlib.sha256(json.dumps([params, digests], sort_keys=True).encode()).hexdigest()
