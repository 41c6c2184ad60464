"""Everything to track of one result, read from the files of the pipeline alone."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from gradflow.tracking import entry
from gradflow.tracking.entry import EXAMPLE_ROWS, DataSet, Entry, Model, Point, Seed, Variant

if TYPE_CHECKING:
    from torch import nn

    from gradflow.kit.network import Network

TABLES = ("gradient_norms.csv", "probe.csv", "history.csv")


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


@dataclass(frozen=True)
class Result(Entry):
    """One run of the pipeline of the root; ``data_hash`` is of data and scaler.

    Attributes:
        scaler: How both splits were standardised.
    """

    scaler: Scaler


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
    files = entry.files([reports / name for name in TABLES], reports, artefacts.params, artefacts.lock)
    data, at = _data(artefacts.data), artefacts.data / "scaled" / "scaler.json"
    scaler = Scaler(**documents.read(at, Scaler))
    model = partial(_model, data[0].path, scaler)
    variants = [
        _variant(artefacts, configuration.of(config, name), history, norms, numbers[name], model)
        for name in config.variants
    ]
    flat = dict(entry.flat(document))
    # dvc.lock also changes with the code, and params.yaml with a comment: neither makes another result.
    content = [path for paths in files.values() for path in paths if path not in (artefacts.lock, artefacts.params)]
    content += [variant.checkpoint for variant in variants]
    content += [artefacts.logs / f"{variant.name}.json" for variant in variants]
    points = [*(split.path for split in data), at]
    content += points
    for path in content:
        manifest.check(path)
    fingerprint = entry.fingerprint(flat, content)
    return Result(
        name=f"depth{flat['depth']}-{fingerprint[:6]}",
        source="stages/track.py",
        params=flat,
        data=data,
        data_hash=entry.fingerprint({}, points),
        variants=variants,
        files=files,
        fingerprint=fingerprint,
        scaler=scaler,
    )


def _model(path: Path, scaler: Scaler, network: "Network") -> tuple["nn.Module", dataset.Points]:
    """On points as the source has them, of which those of the file, (rows, 2), are what the scaler made."""
    from gradflow.tracking.points import OnPoints  # PyTorch, which whoever reads a result does not need

    scale, mean = (np.array(numbers, dtype=np.float64) for numbers in (scaler.scale, scaler.mean))
    return OnPoints(network, scaler), dataset.read(path)[0][:EXAMPLE_ROWS] * scale + mean


def _variant(
    artefacts: Artefacts,
    trained: Mapping[str, Any],
    history: pd.DataFrame,
    norms: pd.DataFrame,
    numbers: Mapping[str, Any],
    model: Model,
) -> Variant:
    name = trained["variant"]
    facts = documents.read(artefacts.logs / f"{name}.json", logs.Facts)
    configuration.check(artefacts.logs / f"{name}.json", facts, trained)
    history = history[history["variant"] == name]
    medians = norms[norms["variant"] == name].groupby(["epoch", "layer"])["grad_norm"].median().unstack()
    final = history[history["epoch"] == facts["train"]["epochs"]]
    best = final.loc[final["val_loss"].idxmin()] if len(final) else None
    checkpoint = artefacts.models / f"{name}.safetensors"
    checkpoint.stat()  # a missing one is told now, before anything is logged
    return Variant(
        name=name,
        numbers=dict(entry.numbers(numbers)),
        curves=entry.drawable(chain(entry.losses(history), _ends(medians, facts["depth"]))),
        tags={
            "device": str(facts["device"]),
            "threads": str(facts["threads"]),
            **{f"version_{library}": version for library, version in facts["versions"].items()},
            "diverged_seeds": ", ".join(str(lost["seed"]) for lost in facts["diverged"]) or "none",
        },
        checkpoint=checkpoint,
        trained=trained,
        best=None if best is None else Seed(int(best["seed"]), float(best["val_loss"]), float(best["val_accuracy"])),
        model=model,
        layers=_table(medians, facts["depth"]),
    )


def _ends(medians: pd.DataFrame, depth: int) -> Iterator[Point]:
    """The logarithm of the first and the last block's gradient norm, which a linear axis can show."""
    for layer, name in ((1, "first"), (depth, "last")):
        with np.errstate(divide="ignore"):  # of 0, which is not drawn
            values = np.log10(medians[layer]) if layer in medians else []
        yield from (
            Point(f"{entry.CURVES}log10_grad_norm_{name}_block", value, epoch)
            for epoch, value in zip(medians.index, values, strict=False)
        )


def _table(medians: pd.DataFrame, depth: int) -> dict[str, list[Any]]:
    """Gradient norms by layer, medians over seeds, in the first, a middle and the last epoch.

    As texts: MLflow would round numbers to ten decimals, to which many are 0.
    """
    if medians.empty:
        return {}
    ends: dict[Any, str] = {0: "stem", depth + 1: "head"}
    epochs = dict.fromkeys(medians.index[[0, len(medians) // 2, -1]])
    columns = {f"epoch {epoch}": [f"{norm:.3g}" for norm in medians.loc[epoch]] for epoch in epochs}
    return {"layer": [ends.get(layer, f"block {layer}") for layer in medians.columns]} | columns


def _data(folder: Path) -> list[DataSet]:
    source = documents.read(folder / "raw" / "source.json", dataset.Source)
    splits = []
    for split, context in (("train", "training"), ("val", "validation")):
        path = folder / "scaled" / f"{split}.parquet"
        labels = dataset.read(path)[1]
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        splits.append(DataSet(context, source["path"] or "make_moons", path, len(labels), digest, source))
    return splits
