"""Trainings of several studies, as the explorer of the page reads them, as few as it can show."""

import json
from itertools import count

import numpy as np
import pandas as pd

from gradflow.report import explorer

EPOCHS = (1, 2, 4)
SKIPS = (0.0, 0.25, 0.5, 0.75, 1.0)
DEPTHS = (2, 3, 5)
_SCALE = 0.7071067811865476


def training(study, variant, block, settings, **changed):
    """What a training was, as explorer.json has it."""
    depth = changed.get("depth", 5)
    plain = block == "plain" or settings.get("skip") == 0
    run = {
        "study": study,
        "variant": variant,
        "block": block,
        "settings": settings,
        "depth": depth,
        "init": "default",
        "clip_norm": 1.0,
        "seeds": 3,
        "epochs": EPOCHS[-1],
        "vanished_below": 1e-6,
        "vanished": [1.5, 0.0],
        "differs": [],
        "ended": "all seeds trained to the end",
        "theory": [float(f"{0.41 ** (depth - layer):.4g}") for layer in range(1, depth + 1)] if plain else None,
        "boundary": explorer.as_letters(np.linspace(0, 1, 2500)),
        "extent": [-2.0, 2.0, -2.0, 2.0],
        "points": 0,
        "mlflow": {"root": "gradflow", "explorer": "gradflow-explorer"}.get(study),
        "command": f"cd studies && dvc repro {study}/dvc.yaml:train@{variant}",
    }
    return run | changed


RUNS = [
    *(training("explorer", f"skip_{at}", "partial", {"skip": skip}) for at, skip in enumerate(SKIPS)),
    *(training("explorer", f"plain_{depth}", "plain", {}, depth=depth) for depth in DEPTHS),
    *(
        training("explorer", f"residual_{depth}", "residual", {"scale": _SCALE, "exponent": 0.0}, depth=depth)
        for depth in DEPTHS
    ),
    training("root", "residual", "residual", {"scale": _SCALE, "exponent": 0.0}),
    training("zoo", "pre", "prenorm", {"norm": "layer", "scale": 1.0, "exponent": 0.5}, init="he", differs=["lr 0.01"]),
    training("zoo", "pre_fast", "prenorm", {"norm": "layer", "scale": 1.0, "exponent": 0.5}, init="he"),
    training("zoo", "narrow", "rezero", {}, differs=["width 32"]),
    training("zoo", "loose", "highway", {"bias": -2.0}, clip_norm=None)
    | {"boundary": None, "vanished": [0.0, None], "ended": "3 of 3 seeds diverged in epoch 1"},
]
LOST, EMPTY = "loose", "plain_2"  # of which no seed is left; whose first block has no gradient


def _rows(run, random):
    """Three seeds of each quantity."""
    lost = run["variant"] == LOST
    for epoch in (0,) if lost else (0, EPOCHS[-1]):
        for layer in range(1, run["depth"] + 1):
            gradient = 10 ** (
                random.normal(size=3) - 0.7 * (run["depth"] - layer) * (1 - run["settings"].get("skip", 1))
            )
            if run["variant"] == EMPTY and layer == 1:
                gradient = np.zeros(3)
            yield "weight_grad_norm", epoch, layer, gradient
            yield "stream", epoch, layer, random.uniform(0.1, 3, 3)
    for epoch in () if lost else EPOCHS:
        yield "train_loss", epoch, 0, random.uniform(0.05, 0.7, 3)
        yield "val_loss", epoch, 0, random.uniform(0.05, 0.7, 3)
        yield "val_accuracy", epoch, 0, random.uniform(0.5, 1, 3)


def _rounded(number):
    return float(f"{number:.4g}")


def write_tables(reports):
    """explorer.csv and explorer.json, as studies/ledger leaves them."""
    seeds = count()
    rows = [
        (
            run["study"],
            run["variant"],
            quantity,
            epoch,
            layer,
            *map(_rounded, (np.median(values), values.min(), values.max())),
            3,
        )
        for run in RUNS
        for quantity, epoch, layer, values in _rows(run, np.random.default_rng(next(seeds)))
    ]
    pd.DataFrame(rows, columns=list(explorer.COLUMNS)).to_csv(reports / "explorer.csv", index=False)
    points = [[-1.0, 0.5, 0.0], [1.0, -0.5, 1.0]]
    (reports / "explorer.json").write_text(json.dumps({"points": [points], "runs": RUNS}), encoding="utf-8")
