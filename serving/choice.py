"""Which network is served: one seed of the results that lie here, or what the registry calls its champion."""

import json
from pathlib import Path
from typing import NamedTuple

from gradflow.data import dataset
from gradflow.files import documents
from gradflow.guards.errors import InputError, shown
from gradflow.tables import artefacts as tables
from gradflow.tables import logs
from gradflow.tables.columns import by_variant, within
from gradflow.tracking import environment, result
from gradflow.tracking.entry import Seed, Variant
from gradflow.tracking.result import Artefacts, Result, Scaler
from serving.bundle import Run
from serving.params import Params

_FIGURE = "gradient_flow.png"


class Choice(NamedTuple):
    """A network and what is to be known of it.

    Attributes:
        run: Which one it is.
        scaler: Of its training rows.
        checkpoint: The weights of all seeds.
        figure: The gradients by layer of its run.
    """

    run: Run
    scaler: Scaler
    checkpoint: Path
    figure: Path


def here(params: Params, artefacts: Artefacts) -> Choice:
    """The network that the parameters name, from the results of the pipeline.

    Raises:
        InputError: There is no such variant or seed, or all its seeds diverged.
        RunError: A result is missing, damaged or of other parameters.
    """
    found = result.read(artefacts)
    variant = next((each for each in found.variants if each.name == params.variant), None)
    if variant is None:
        names = ", ".join(each.name for each in found.variants)
        raise InputError("params.yaml: variant", f"must be one of {names}, got {shown(params.variant)}")
    seed = _seed(params, artefacts, found, variant)
    source = documents.read(artefacts.data / "raw" / "source.json", dataset.Source)
    run = Run(
        variant=variant.name,
        seed=seed.seed,
        fingerprint=found.fingerprint,
        data=found.data_hash,
        val_loss=seed.val_loss,
        val_accuracy=seed.val_accuracy,
        numbers=variant.numbers,
        classes=list(source["classes"]),
        features=source["features"],
    )
    return Choice(run, found.scaler, variant.checkpoint, artefacts.reports / "figures" / _FIGURE)


def registered(params: Params, model: str, artefacts: Artefacts, folder: Path) -> Choice:
    """The network that the registry names, which must be of the data that lie here: inputs are compared with these.

    Args:
        params: With a champion.
        model: The version that it stands for.
        artefacts: Whose data and scaler it must share.
        folder: For its files.

    Raises:
        InputError: There is no such model, or it is of another variant or of other data.
        RunError: The registry cannot be used.
    """
    environment.prepare()
    from gradflow.tracking import champion, store  # they import MLflow

    where = "params.yaml: champion"
    found = result.read(artefacts)
    best = champion.fetch(model, where, store.find(), folder)
    if best.variant != params.variant:
        raise InputError(where, f"must be a model of the variant {params.variant}, got one of {best.variant}")
    if best.data != found.data_hash:
        raise InputError(
            where, f"must be a model of the data that lie here, {found.data_hash[:8]}, got {best.data[:8]}"
        )
    source = documents.read(artefacts.data / "raw" / "source.json", dataset.Source)
    run = Run(
        variant=best.variant,
        seed=best.seed.seed,
        fingerprint=best.fingerprint,
        data=best.data,
        val_loss=best.seed.val_loss,
        val_accuracy=best.seed.val_accuracy,
        numbers=best.numbers,
        classes=list(source["classes"]),
        features=source["features"],
    )
    return Choice(run, found.scaler, best.checkpoint, best.figure)


def _seed(params: Params, artefacts: Artefacts, found: Result, variant: Variant) -> Seed:
    """The seed that the parameters name, with its last losses."""
    if params.seed is None:
        if variant.best is None:
            raise InputError("params.yaml: variant", f"must have a seed that did not diverge, got {variant.name}")
        return variant.best
    seeds = int(json.loads(found.params["seeds"]))
    columns = by_variant(within(logs.HISTORY, seed=seeds - 1), [each.name for each in found.variants])
    history = tables.read_table(artefacts.reports / "history.csv", columns)
    history = history[(history["variant"] == variant.name) & (history["epoch"] == variant.trained["train"]["epochs"])]
    row = history[history["seed"] == params.seed]
    if row.empty:
        usable = ", ".join(str(seed) for seed in history["seed"]) or "none"
        raise InputError("params.yaml: seed", f"must be null or one that did not diverge ({usable}), got {params.seed}")
    return Seed(params.seed, float(row["val_loss"].iloc[0]), float(row["val_accuracy"].iloc[0]))
