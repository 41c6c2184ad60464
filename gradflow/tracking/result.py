"""Everything to track of one result, read from the files of the pipeline alone."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from gradflow.analysis import gradients
from gradflow.data import dataset
from gradflow.files import documents
from gradflow.files.documents import Document
from gradflow.guards import manifest
from gradflow.guards.errors import RunError
from gradflow.params import reading
from gradflow.params.loading import load
from gradflow.recipe import Recipe
from gradflow.tables import artefacts as tables
from gradflow.tables import configuration, logs
from gradflow.tables.columns import by_variant, within

TABLES = ("gradient_norms.csv", "probe.csv", "history.csv")
EXAMPLE_ROWS = 5


class Scaler(Document):
    """How the points of the source were standardised: mean and scale of both features."""

    mean: Annotated[list[float], Field(min_length=2, max_length=2)]
    scale: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)]


@dataclass(frozen=True)
class Artefacts:
    """Where the outputs of a pipeline lie."""

    params: Path
    lock: Path
    data: Path
    models: Path
    logs: Path
    reports: Path


class Point(NamedTuple):
    """One point of a curve."""

    name: str
    value: float
    epoch: int


class Seed(NamedTuple):
    """The seed of a variant with the lowest final validation loss."""

    seed: int
    val_loss: float
    val_accuracy: float


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
        curves: Means over seeds and spreads by epoch, and the gradient norm of each layer.
        tags: Device, threads and library versions of its training, and its diverged seeds.
        checkpoint: The weights of all seeds.
        trained: The configuration that the checkpoint must have.
        best: None where every seed diverged.
    """

    name: str
    numbers: dict[str, float]
    curves: list[Point]
    tags: dict[str, str]
    checkpoint: Path
    trained: Mapping[str, Any]
    best: Seed | None


@dataclass(frozen=True)
class Result:
    """One run of the pipeline.

    Attributes:
        params: All parameters, flat: ``train.lr`` to ``0.1``.
        data: The train and the validation split.
        scaler: How both were standardised.
        data_hash: SHA-256 of data and scaler; losses are comparable where it is the same.
        variants: In the order of params.yaml.
        files: What to keep with the result, by folder; the checkpoints belong to the variants.
        fingerprint: SHA-256 of the parameters and of the content of all files, hence of the result.
    """

    params: dict[str, str]
    data: list[DataSet]
    scaler: Scaler
    data_hash: str
    variants: list[Variant]
    files: dict[str, list[Path]]
    fingerprint: str

    @property
    def name(self) -> str:
        """What to call it where no experiment gives it a name."""
        return f"depth{self.params['depth']}-{self.fingerprint[:6]}"

    def example(self) -> dataset.Points:
        """A few points as the source has them, (rows, 2)."""
        scale, mean = (np.array(numbers, dtype=np.float64) for numbers in (self.scaler.scale, self.scaler.mean))
        return dataset.read(self.data[0].path)[0][:EXAMPLE_ROWS] * scale + mean


def read(artefacts: Artefacts) -> Result:
    """Read a result.

    Raises:
        InputError: params.yaml is missing, not readable, or breaks a rule.
        RunError: An artefact is missing or damaged.
    """
    document = reading.read(artefacts.params)
    try:
        return _read(artefacts, document)
    except (OSError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise RunError(f"the results cannot be read, run `dvc repro` to make them anew ({error})") from None


def _read(artefacts: Artefacts, document: Mapping[str, Any]) -> Result:
    reports = artefacts.reports
    config = load(Recipe, artefacts.params)  # those of somebody else's experiment have not been checked
    history = tables.read_table(
        reports / "history.csv", by_variant(within(logs.HISTORY, seed=config.seeds - 1), config.variants)
    )
    norms = gradients.by_layer(tables.read_table(reports / "gradient_norms.csv", by_variant(gradients.NORMS)))
    numbers = documents.read_by_variant(reports / "metrics.json", gradients.Summary, config.variants)
    variants = [
        _variant(artefacts, configuration.of(config, name), history, norms, numbers[name]) for name in config.variants
    ]
    files = {
        "": [
            *(reports / name for name in (*TABLES, "metrics.json")),
            *filter(Path.is_file, [artefacts.lock]),
            artefacts.params,
        ],
        "figures": sorted(path for path in (reports / "figures").glob("*") if path.suffix in {".png", ".svg"}),
    }
    data, scaler = _data(artefacts.data), artefacts.data / "scaled" / "scaler.json"
    flat = dict(_flat(document))
    # dvc.lock also changes with the code, and params.yaml with a comment: neither makes another result.
    content = [path for paths in files.values() for path in paths if path not in (artefacts.lock, artefacts.params)]
    content += [variant.checkpoint for variant in variants]
    content += [artefacts.logs / f"{variant.name}.json" for variant in variants]
    points = [*(split.path for split in data), scaler]
    content += points
    for path in content:
        manifest.check(path)
    return Result(
        params=flat,
        data=data,
        scaler=Scaler(**documents.read(scaler, Scaler)),
        data_hash=_fingerprint({}, points),
        variants=variants,
        files=files,
        fingerprint=_fingerprint(flat, content),
    )


def _variant(
    artefacts: Artefacts,
    trained: Mapping[str, Any],
    history: pd.DataFrame,
    norms: pd.DataFrame,
    numbers: Mapping[str, Any],
) -> Variant:
    name = trained["variant"]
    facts = documents.read(artefacts.logs / f"{name}.json", logs.Facts)
    configuration.check(artefacts.logs / f"{name}.json", facts, trained)
    history = history[history["variant"] == name]
    norms = norms[norms["variant"] == name]
    final = history[history["epoch"] == facts["train"]["epochs"]]
    best = final.loc[final["val_loss"].idxmin()] if len(final) else None
    checkpoint = artefacts.models / f"{name}.safetensors"
    checkpoint.stat()  # a missing one is told now, before anything is logged
    return Variant(
        name=name,
        numbers=dict(_numbers(numbers)),
        curves=[
            point
            for point in (*_losses(history), *_layers(norms, facts["depth"]))
            if math.isfinite(point.value)  # MLflow would draw an infinite one at 1e308
        ],
        tags={
            "device": str(facts["device"]),
            "threads": str(facts["threads"]),
            **{f"version_{library}": version for library, version in facts["versions"].items()},
            "diverged_seeds": ", ".join(str(entry["seed"]) for entry in facts["diverged"]) or "none",
        },
        checkpoint=checkpoint,
        trained=trained,
        best=None if best is None else Seed(int(best["seed"]), float(best["val_loss"]), float(best["val_accuracy"])),
    )


def _numbers(numbers: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Means of what has a spread, and all else that is one number: a list by layer is in metrics.json."""
    for key, value in numbers.items():
        number = value["mean"] if isinstance(value, Mapping) else value
        if isinstance(number, int | float) and math.isfinite(number):
            yield key, float(number)


def _losses(history: pd.DataFrame) -> Iterator[Point]:
    """Mean over the seeds that are still training, and under ``spread/`` their standard deviation."""
    columns = ["train_loss", "val_loss", "val_accuracy"]
    by_epoch = history.groupby("epoch")[columns]
    for prefix, table in (("", by_epoch.mean()), ("spread/", by_epoch.std(ddof=0))):
        for name in columns:
            yield from (
                Point(f"{prefix}{name}", value, epoch) for epoch, value in zip(table.index, table[name], strict=True)
            )


def _layers(norms: pd.DataFrame, depth: int) -> Iterator[Point]:
    """Median over seeds of each layer's gradient norm; a layer has the same name at every depth."""
    ends = {0: "stem", depth + 1: "head"}
    medians = norms.groupby(["layer", "epoch"])["grad_norm"].median().reset_index()
    for layer, epoch, value in medians.itertuples(index=False):
        yield Point(f"grad_norm/{ends.get(layer) or f'layer_{layer:02}'}", value, epoch)


def _data(folder: Path) -> list[DataSet]:
    source = documents.read(folder / "raw" / "source.json", dataset.Source)
    splits = []
    for split, context in (("train", "training"), ("val", "validation")):
        path = folder / "scaled" / f"{split}.parquet"
        labels = dataset.read(path)[1]
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        splits.append(DataSet(context, source["path"] or "make_moons", path, len(labels), digest, source))
    return splits


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _fingerprint(flat: Mapping[str, str], content: list[Path]) -> str:
    digests = {f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest() for path in content}
    return hashlib.sha256(json.dumps([flat, digests], sort_keys=True).encode()).hexdigest()
