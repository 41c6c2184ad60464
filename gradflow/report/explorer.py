"""All trainings that the studies hold, packed for the script that lets readers choose among them."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradflow.files.documents import Document
from gradflow.params import catalogue
from gradflow.params.sections import Init
from gradflow.tables.columns import FROM_0, NUMBER, Column, Columns

STUDY = "explorer"  # whose trainings the sliders show
BY_LAYER = ("weight_grad_norm", "stream")
_BY_EPOCH = ("train_loss", "val_loss", "val_accuracy")
_KEY = Column(str, key=True)
# A row a training, quantity, epoch (0: before training) and layer (0: the whole network). The stream is its root mean
# square over rows and units. Median, low and high are over the seeds that had not diverged, ``seeds`` of them.
COLUMNS: Columns = {
    "study": _KEY,
    "variant": _KEY,
    "quantity": Column(str, key=True, words=(*BY_LAYER, *_BY_EPOCH)),
    "epoch": FROM_0,
    "layer": FROM_0,
    "median": NUMBER,
    "low": NUMBER,
    "high": NUMBER,
    "seeds": Column(int, low=1),
}


class Run(Document):
    """What a training was.

    Attributes:
        study: The study that holds it, ``root`` for the pipeline at the root.
        variant: Its name there.
        block: Of its blocks.
        settings: Of that block.
        depth: Number of blocks.
        init: Its initialisation.
        clip_norm: Largest gradient norm of a step; None: no clipping.
        seeds: How many were trained.
        epochs: How long.
        vanished_below: A smaller gradient norm counts as vanished.
        vanished: Number of blocks whose gradient vanished, before and after training, mean of the seeds; None: no seed
            is left.
        differs: What else is not as usual, in words.
        ended: How it ended, in words.
        theory: Predicted norms of the gradients by block before training, relative to the last block; None: theory has
            no line for the block.
        boundary: Probability of the second class on a square grid, a letter a point (:func:`as_letters`), row by row
            from the lower left corner; None: no seed is left.
        extent: Left, right, lower and upper edge of the grid.
        points: Which of the lists of rows lie on it.
        mlflow: The experiment that it is logged in; None: in none.
        command: What makes it anew.
    """

    study: str
    variant: str
    block: str
    settings: dict[str, float | int | bool | str]
    depth: int
    init: str
    clip_norm: float | None
    seeds: int
    epochs: int
    vanished_below: float
    vanished: list[float | None]
    differs: list[str]
    ended: str
    theory: list[float] | None
    boundary: str | None
    extent: list[float]
    points: int
    mlflow: str | None
    command: str


class Facts(Document):
    """What all trainings were; a point is x1, x2 and its label."""

    points: list[list[list[float]]]
    runs: list[Run]


def as_letters(shares: NDArray[np.float64]) -> str:
    """Shares of 1 in steps of 2 %, as letters from ``(`` for 0 to ``Z`` for 1, in the order of the array."""
    return "".join(chr(40 + round(50 * share)) for share in shares.ravel())


@dataclass(frozen=True)
class Trainings:
    """All of them.

    Attributes:
        table: With :data:`COLUMNS`.
        facts: What they were, a :class:`Facts`.
    """

    table: pd.DataFrame
    facts: Mapping[str, Any]


def packed(trainings: Trainings) -> str:
    """Curves and facts, and which of them the sliders show: JSON, compressed by gzip, in base64."""
    curves = {key: _curves(own) for key, own in trainings.table.groupby(["study", "variant"], sort=False)}
    runs = [run | {"curves": curves[run["study"], run["variant"]]} for run in trainings.facts["runs"]]
    content = {
        "points": trainings.facts["points"],
        "sliders": _sliders(runs),
        "inits": get_args(Init),
        "norms": {block: _norms(block) for block in {run["block"]: None for run in runs}},
        "runs": runs,
    }
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def _sliders(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[list[int]]]:
    """The frames of both sliders, each the positions of the trainings in it.

    Of the study :data:`STUDY`, to which readers add trainings: the networks that differ in their setting ``skip``
    alone, one a frame; and of the others the two largest families that differ in their depth alone, at the depths that
    both have.
    """
    own = {at: run for at, run in enumerate(runs) if run["study"] == STUDY}
    mixed = {at: run for at, run in own.items() if "skip" in run["settings"]}
    [skips] = _largest(mixed, "skip", 1) or [{}]
    families = _largest({at: run for at, run in own.items() if at not in mixed}, "depth", 2)
    depths = set.intersection(*map(set, families)) if len(families) == 2 else set()
    return {
        "skip": [[skips[skip]] for skip in sorted(skips)],
        "depth": [[family[depth] for family in families] for depth in sorted(depths)],
    }


def _largest(runs: Mapping[int, Mapping[str, Any]], key: str, number: int) -> list[dict[float, int]]:
    """The largest families of trainings that differ in one thing alone: its value to their positions."""
    found: dict[str, dict[float, int]] = {}
    for at, run in runs.items():
        about = {name: run[name] for name in ("block", "depth", "init", "clip_norm")} | run["settings"]
        value = about.pop(key)
        found.setdefault(json.dumps(about, sort_keys=True), {})[value] = at
    largest = sorted(found.values(), key=len, reverse=True)[:number]
    return [family for family in found.values() if family in largest]  # in the order of the study


def _norms(block: str) -> Sequence[str]:
    """What a block's setting ``norm`` may be."""
    settings = catalogue.settings(block)
    return get_args(settings["norm"][0]) if "norm" in settings else ()


def _curves(table: pd.DataFrame) -> dict[str, Any]:
    """Quantity to what was measured of it: before and after training by layer, or by epoch."""
    found: dict[str, Any] = {}
    for name in BY_LAYER:
        rows = table[table["quantity"] == name]
        start, end = rows[rows["epoch"] == 0], rows[rows["epoch"] > 0]
        found[name] = {"start": _points(start, "layer"), "end": _points(end, "layer")}
    for name in _BY_EPOCH:
        found[name] = _points(table[table["quantity"] == name], "epoch")
    return found


def _points(rows: pd.DataFrame, along: str) -> dict[str, Sequence[float]]:
    rows = rows.sort_values(along)
    return {"at": rows[along].tolist(), **{name: rows[name].tolist() for name in ("median", "low", "high")}}
