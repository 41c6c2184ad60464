"""explorer: what all studies of the recipe's networks hold of each training, in one table, for the page to draw."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from pydantic import BaseModel

from gradflow.analysis import gradients
from gradflow.data import dataset
from gradflow.files import documents
from gradflow.files.writing import write_json
from gradflow.guards.errors import RunError
from gradflow.params.loading import load
from gradflow.recipe import Recipe
from gradflow.report import explorer, words
from gradflow.tables import artefacts, configuration, logs
from gradflow.tables.columns import within

_ROOT = "root"  # as in the ledger
_POINTS = 80  # validation rows that are shown
_GRID = 50  # points along each edge of the decision boundary
_DIGITS = 4  # significant ones, of the table and so of the page
_HISTORY = ("train_loss", "val_loss", "val_accuracy")


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.argument("facts", type=click.Path(path_type=Path))
@click.option(
    "--study",
    "studies",
    type=(click.Path(path_type=Path), str),
    multiple=True,
    help="Folder, and the MLflow experiment that it is logged in, or none. The settings of the first are the usual.",
)
def main(table: Path, facts: Path, studies: Sequence[tuple[Path, str]]) -> None:
    """Write TABLE (CSV), what was measured of each training of the studies, and FACTS (JSON), what each was."""
    if missing := [path for folder, _ in studies if not (path := folder / "reports/probe.csv").exists()]:
        raise RunError(f"{missing[0]}: missing; run `make studies`, which makes all that the page shows")
    usual = load(Recipe, studies[0][0] / "params.yaml")
    measured, described, points = [], [], []
    for folder, experiment in studies:
        config = load(Recipe, folder / "params.yaml")
        probes, history = _tables(folder, config)
        measured.append(_measured(_name(folder), config, probes, history))
        rows, of_all = _rows(folder)
        if rows not in points:
            points.append(rows)
        shared = {
            "mlflow": None if experiment == "none" else experiment,
            "points": points.index(rows),
            "extent": [round(float(edge), 3) for edge in dataset.around(of_all)],
        }
        for variant in config.variants:
            vanished = _vanished(probes[probes["variant"] == variant], config)
            described.append(_facts(folder, config, variant, usual) | {"vanished": vanished} | shared)
    artefacts.write_csv(table, pd.concat(measured))
    write_json(facts, {"points": points, "runs": described})


def _tables(folder: Path, config: Recipe) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The probes of a study before and after training, and its history."""
    _, probe_columns, history_columns = gradients.tables(config)
    probes = artefacts.read_table(folder / "reports/probe.csv", probe_columns)
    history = artefacts.read_table(folder / "reports/history.csv", history_columns)
    probes["stream"] = np.hypot(probes["x_mean"], probes["x_std"])
    return probes[probes["epoch"].isin({0, config.train.epochs})], history


def _measured(study: str, config: Recipe, probes: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Median, lowest and highest over the seeds, see :data:`gradflow.report.explorer.COLUMNS`."""
    parts = [_over_seeds(probes, name) for name in explorer.BY_LAYER]
    shown = _thinned(config.train.epochs)
    parts += [_over_seeds(history[history["epoch"].isin(shown)].assign(layer=0), name) for name in _HISTORY]
    table = pd.concat(parts)
    table.insert(0, "study", study)
    order = {variant: place for place, variant in enumerate(config.variants)}
    return table.sort_values("variant", key=lambda names: names.map(order), kind="stable")


def _over_seeds(table: pd.DataFrame, name: str) -> pd.DataFrame:
    groups = table.groupby(["variant", "epoch", "layer"])[name]
    found = groups.agg(median="median", low="min", high="max", seeds="count").reset_index()
    for column in ("median", "low", "high"):
        found[column] = [_rounded(number) for number in found[column]]
    found.insert(1, "quantity", name)
    return found


def _vanished(probes: pd.DataFrame, config: Recipe) -> list[float | None]:
    """Number of blocks whose gradient vanished, before and after training, mean of the seeds that are left."""
    below = (probes["weight_grad_norm"] < config.analysis.vanished_below).groupby([probes["epoch"], probes["seed"]])
    blocks = below.sum().groupby("epoch").mean()
    return [_rounded(blocks[epoch]) if epoch in blocks else None for epoch in (0, config.train.epochs)]


def _thinned(epochs: int) -> set[int]:
    """At most 34 epochs, evenly spread, the first and the last among them."""
    return {int(epoch) for epoch in np.linspace(1, epochs, min(epochs, 34)).round()}


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


def _rows(folder: Path) -> tuple[list[list[float]], dataset.Points]:
    """The first validation rows as x1, x2 and label, and the points of all."""
    points, labels = dataset.read(folder / "data/scaled/val.parquet")
    shown = zip(points[:_POINTS].round(2).tolist(), labels[:_POINTS].tolist(), strict=True)
    return [[*point, label] for point, label in shown], points


def _facts(folder: Path, config: Recipe, variant: str, usual: Recipe) -> dict[str, Any]:
    """What one training of a study was, see :class:`gradflow.report.explorer.Run`."""
    at = folder / "logs" / f"{variant}.json"
    found, about = documents.read(at, logs.Facts), configuration.of(config, variant)
    configuration.check(at, found, about)
    own = configuration.own(config, variant)
    name = _name(folder)
    where = ("", "") if name == _ROOT else ("cd studies && ", f"{name}/dvc.yaml:")
    theory = found["theory"]
    return {
        "study": name,
        "variant": variant,
        "block": about["block"],
        "settings": {key: value for key, value in about["settings"].items() if value is not None},
        "depth": about["depth"],
        "init": own.train.init,
        "clip_norm": own.train.clip_norm,
        "seeds": config.seeds,
        "epochs": config.train.epochs,
        "vanished_below": config.analysis.vanished_below,
        "differs": list(_differences(own, usual, about["widths"])),
        "ended": _ended(found, config.seeds),
        "theory": None if theory is None else [_rounded(number) for number in theory],
        "boundary": _boundary(folder / "logs" / f"{variant}.boundary.parquet", config.seeds),
        "command": f"{where[0]}dvc repro {where[1]}train@{variant}",
    }


def _differences(own: Recipe, usual: Recipe, widths: Sequence[int] | None) -> Iterator[str]:
    """What is not as usual, besides what the explorer shows of each training or lets its readers choose."""
    if widths:
        yield f"widths {', '.join(map(str, widths))}"
    elif own.width != usual.width:
        yield f"width {own.width}"
    shown = {"train.init", "train.clip_norm", "train.epochs", "probe.every"}
    for section in ("data", "split", "train", "probe"):
        was, now = getattr(usual, section), getattr(own, section)
        for key in sorted(type(now).model_fields):
            if f"{section}.{key}" not in shown and (value := getattr(now, key)) != getattr(was, key):
                words = ", ".join(f"{of} {each}" for of, each in value) if isinstance(value, BaseModel) else value
                yield f"{section}.{key} {words}"


def _ended(found: Mapping[str, Any], seeds: int) -> str:
    """How the training ended: how many seeds diverged, and when."""
    lost = found["diverged"]
    if not lost:
        return "all seeds trained to the end"
    first, last = (pick(entry["epoch"] for entry in lost) for pick in (min, max))
    when = f"epoch {first}" if first == last else f"epochs {first} to {last}"
    return f"{len(lost)} of {words.count(seeds, 'seed')} diverged in {when}"


def _boundary(path: Path, seeds: int) -> str | None:
    """The mean probability of the second class on a grid, see :class:`gradflow.report.explorer.Run`."""
    table = artefacts.read_table(path, within(logs.BOUNDARY, seed=seeds - 1))
    if table.empty:
        return None
    grid = table.groupby(["row", "column"])["probability"].mean().unstack().to_numpy()
    step = len(grid) // _GRID
    coarse = grid.reshape(_GRID, step, _GRID, step).mean(axis=(1, 3))
    return explorer.as_letters(coarse)


def _name(folder: Path) -> str:
    return folder.resolve().name if folder.resolve().parent.name == "studies" else _ROOT


if __name__ == "__main__":
    main()
