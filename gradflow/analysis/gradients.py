"""From the logs of all trainings to the tables and numbers that are read, drawn and compared."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from gradflow.analysis.spread import Spread, factor, over_seeds, share
from gradflow.files.documents import Document
from gradflow.recipe import Analysis, Recipe
from gradflow.tables import configuration, logs
from gradflow.tables.columns import FROM_0, FROM_1, SIZE, Columns, by_variant, within

NORMS = {
    "seed": FROM_0,
    "epoch": FROM_1,
    "layer": FROM_0,
    "name": logs.MAP,
    "grad_norm": SIZE,
    "grad_norm_min": SIZE,
    "grad_norm_max": SIZE,
}


class Summary(Document):
    """See :func:`summary`."""

    val_accuracy: Spread
    val_loss: Spread
    train_loss: Spread
    weight_grad_norm_start: list[Spread]
    weight_grad_norm_end: list[Spread]
    grad_first_over_last: float | None
    log10_grad_first_over_last: Spread
    log10_grad_first_over_last_start: Spread
    decay_per_layer: float | None
    decay_per_layer_std: float | None
    vanished_layers: float | None
    vanished_layers_std: float | None
    vanished_layers_relative: float | None
    learnt: float
    learnt_low: float
    learnt_high: float
    seeds: int
    diverged_seeds: int
    diverged: list[logs.Divergence]


def log_tables(config: Recipe) -> dict[str, dict[str, Columns]]:
    """What the logs of a run hold: ending of a file's name to variant to columns; norms, probes and history."""
    found: dict[str, dict[str, Columns]] = {".parquet": {}, ".probe.parquet": {}, ".history.parquet": {}}
    for variant in config.variants:
        depth, last = configuration.own(config, variant).depth, {"seed": config.seeds - 1, "epoch": config.train.epochs}
        found[".parquet"][variant] = within(logs.GRAD_NORMS, layer=depth + 1, **last)
        found[".probe.parquet"][variant] = within(logs.PROBES, layer=depth, **last)
        found[".history.parquet"][variant] = within(logs.HISTORY, **last)
    return found


def tables(config: Recipe) -> tuple[Columns, Columns, Columns]:
    """The columns of a run's gradient norms, probes and history."""
    depth = max(configuration.own(config, variant).depth for variant in config.variants)
    last = {"seed": config.seeds - 1, "epoch": config.train.epochs}
    norms, probes, history = (by_variant(own, config.variants) for own in (NORMS, logs.PROBES, logs.HISTORY))
    return within(norms, layer=depth + 1, **last), within(probes, layer=depth, **last), within(history, **last)


def norms_by_epoch(log: pd.DataFrame) -> pd.DataFrame:
    """Mean, smallest and largest gradient norm over the steps of each epoch.

    Args:
        log: Columns variant, seed, epoch, step, layer, name, grad_norm, a row a backward pass and linear map.

    Returns:
        Columns variant, seed, epoch, layer, name, grad_norm, grad_norm_min, grad_norm_max, in the order
        of the log.
    """
    # Summed in float64: an epoch may join 1e-8 with 1e2.
    log = log.astype({"grad_norm": "float64"})
    groups = log.groupby(["variant", "seed", "epoch", "layer", "name"], sort=False, observed=True)["grad_norm"]
    return groups.agg(grad_norm="mean", grad_norm_min="min", grad_norm_max="max").reset_index()


def by_layer(norms: pd.DataFrame) -> pd.DataFrame:
    """The gradients of a layer's linear maps taken together: the root of the sum of the squares of their norms.

    Args:
        norms: As in reports/gradient_norms.csv, a row a linear map.

    Returns:
        Columns variant, seed, epoch, layer, name (stem, block_1, ..., head), grad_norm, a row a layer.
    """
    keys = ["variant", "seed", "epoch", "layer", "name"]
    squares = norms.assign(name=norms["name"].str.replace(r"\..*", "", regex=True), grad_norm=norms["grad_norm"] ** 2)
    return (squares.groupby(keys, sort=False)["grad_norm"].sum() ** 0.5).reset_index()


def summary(
    norms: pd.DataFrame, probes: pd.DataFrame, history: pd.DataFrame, *, facts: dict[str, Any], analysis: Analysis
) -> dict[str, Any]:
    """The numbers of one variant for metrics.json.

    Args:
        norms: Its rows of :func:`by_layer`.
        probes: Its probes, with columns seed, epoch, layer, weight_grad_norm, delta_norm.
        history: Its losses and accuracies, with columns seed, epoch, train_loss, val_loss, val_accuracy.
        facts: Its facts: epochs, depth and the diverged seeds.
        analysis: From which gradient norm on a hidden layer has vanished, from which train loss on a seed has learnt.

    Returns:
        For val_accuracy, val_loss and train_loss at the end {mean, std, min, max, seeds} over the seeds that did not
        diverge, whose number ``seeds`` is; likewise for each block, the first one first, ``weight_grad_norm_start``,
        ||dLoss/dW|| on the probe's rows before the first step, over all seeds, and ``weight_grad_norm_end`` after the
        last; ``grad_first_over_last``, the geometric mean over those seeds of the gradient norm of layer 1 over that of
        layer ``depth`` in the last epoch, and the spread of its logarithm, ``log10_grad_first_over_last``, over the
        seeds whose ratio is no 0; ``log10_grad_first_over_last_start``, the same of ||dLoss/dW|| before the first step;
        ``decay_per_layer``, the geometric mean over all seeds of the factor that ||dLoss/dz|| gains with each block
        towards the input before the first step, fitted to its logarithm over the layers; ``vanished_layers``, their
        mean number in the last epoch; ``vanished_layers_relative``, the mean number of those whose norm is below
        ``analysis.vanished_below`` times the largest of the blocks: all norms of a network that has solved its task are
        small, and none of them has vanished beside the others; ``learnt``, the share of all seeds that end with a train
        loss below ``analysis.learnt_below``, and its interval, ``learnt_low`` and ``learnt_high``
        (:func:`gradflow.analysis.spread.share`); ``..._std``, the standard deviation over the seeds; ``diverged`` and,
        since DVC shows numbers alone, ``diverged_seeds``. A number that no seed is left for is None.
    """
    depth, epochs = facts["depth"], facts["train"]["epochs"]
    diverged = facts["diverged"]
    survivors = sorted(set(range(facts["seeds"])) - {entry["seed"] for entry in diverged})
    final = history[(history["epoch"] == epochs) & history["seed"].isin(survivors)]
    last = norms[(norms["epoch"] == epochs) & norms["seed"].isin(survivors)]
    hidden = last[last["layer"].between(1, depth)].pivot_table(index="seed", columns="layer", values="grad_norm")
    start = probes[probes["epoch"] == 0]
    init, drawn = (
        start.pivot_table(index="layer", columns="seed", values=name) for name in ("delta_norm", "weight_grad_norm")
    )
    ratios = hidden[1] / hidden[depth] if len(hidden) else pd.Series(dtype=float)
    below = analysis.vanished_below
    decays, vanished = _decays(init), over_seeds((hidden < below).sum(axis=1))
    learnt, low, high = share(int((final["train_loss"] < analysis.learnt_below).sum()), facts["seeds"])
    return {
        **{name: over_seeds(final[name]) for name in ("val_accuracy", "val_loss", "train_loss")},
        "weight_grad_norm_start": _by_layer(probes[probes["epoch"] == 0], depth),
        "weight_grad_norm_end": _by_layer(probes[(probes["epoch"] == epochs) & probes["seed"].isin(survivors)], depth),
        "grad_first_over_last": _geometric_mean(ratios) if len(ratios) else None,
        "log10_grad_first_over_last": _logarithms(ratios),
        "log10_grad_first_over_last_start": _logarithms(drawn.loc[1] / drawn.loc[depth] if len(drawn) else []),
        "decay_per_layer": _geometric_mean(decays) if len(decays) else None,
        "decay_per_layer_std": over_seeds(decays)["std"],
        "vanished_layers": vanished["mean"],
        "vanished_layers_std": vanished["std"],
        "vanished_layers_relative": over_seeds(hidden.lt(below * hidden.max(axis=1), axis=0).sum(axis=1))["mean"],
        "learnt": learnt,
        "learnt_low": low,
        "learnt_high": high,
        "seeds": facts["seeds"],
        "diverged_seeds": len(diverged),
        "diverged_in_first_epoch": sum(entry["epoch"] == 1 for entry in diverged) / facts["seeds"],
        "diverged": diverged,
    }


def _by_layer(probes: pd.DataFrame, depth: int) -> list[dict[str, float | int | None]]:
    """The spread of ||dLoss/dW|| over the seeds at each block."""
    norms = probes.groupby("layer")["weight_grad_norm"]
    return [
        over_seeds(norms.get_group(layer) if layer in norms.groups else probes["weight_grad_norm"][:0])
        for layer in range(1, depth + 1)
    ]


def _logarithms(ratios: Iterable[float]) -> dict[str, float | int | None]:
    return over_seeds(math.log10(ratio) for ratio in ratios if 0 < ratio < math.inf)


def _geometric_mean(ratios: "pd.Series[float]") -> float | None:
    """None where a ratio is 0/0 or x/0: both ends below what float32 can hold, or the last alone."""
    if not np.isfinite(ratios).all():
        return None
    with np.errstate(divide="ignore"):  # a ratio of 0 makes the mean 0
        return float(np.exp(np.log(ratios).mean()))


def _decays(delta: pd.DataFrame) -> "pd.Series[float]":
    """exp(-slope) of log delta (layers x seeds) against the layer, for each seed; empty where there is no slope."""
    if len(delta) < 2 or delta.empty:
        return pd.Series(dtype=float)
    delta = delta.loc[:, (delta > 0).all()]  # what underflowed to 0 has no logarithm
    return pd.Series({seed: 1 / factor(delta[seed].tolist()) for seed in delta}, dtype=float)
