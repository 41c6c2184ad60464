"""The numbers of the scaling study: of each variant, and of each family of variants that differ in depth alone."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, SIZE, Column, Columns, within
from studies.scaling.params import Params

_GAPS = replace(SIZE, gaps=True)  # a seed that diverged has no number
_COLUMNS = {"seed": FROM_0, "log2_lr": Column(int, key=True), "rms_change": _GAPS, "loss": _GAPS}


def columns(config: Params) -> Columns:
    """The columns of one variant's log."""
    return within(_COLUMNS, seed=config.seeds - 1)


def families(config: Params) -> dict[str, dict[str, int]]:
    """Families by name, each its variants and their depths, the shallowest first.

    A family of half_2 and half_4 is called half, unless something else is; one of a single variant has its name.
    """
    alike: dict[str, dict[str, int]] = {}
    for name, point in config.variants.items():
        alike.setdefault(json.dumps(point.model_dump(exclude={"depth"}), sort_keys=True), {})[name] = point.depth
    found: dict[str, dict[str, int]] = {}
    for members in alike.values():
        first, *others = members
        name = first.rstrip("_-0123456789") if others else first
        found[first if name in {*found, *config.variants} else name] = dict(
            sorted(members.items(), key=lambda member: member[1])
        )
    return found


def by_seed(rates: pd.DataFrame, log2_lr: int) -> pd.DataFrame:
    """What each seed of a variant says of its depth.

    Args:
        rates: Columns seed, log2_lr, rms_change, loss; gaps where a seed diverged.
        log2_lr: The learning rate at which depths are compared.

    Returns:
        By seed, with gaps: rms_change and loss at that rate, lowest_loss at any, and best_log2_lr, where that is.
    """
    found = rates[rates["log2_lr"] == log2_lr].set_index("seed")[["rms_change", "loss"]]
    losses = _losses(rates).dropna(how="all")
    return found.assign(lowest_loss=losses.min(axis=1), best_log2_lr=losses.idxmin(axis=1).astype(float))


def of_variant(rates: pd.DataFrame, log2_lr: int) -> dict[str, Any]:
    """Numbers of a variant for metrics.json; for the arguments see :func:`by_seed`.

    Returns:
        The columns of :func:`by_seed`, each {mean, std, min, max, seeds} over the seeds that have the number;
        ``seeds``: how many were trained; ``diverged``: how many trainings, each of a seed at a learning rate, have no
        loss.
    """
    numbers = by_seed(rates, log2_lr)
    found: dict[str, Any] = {str(name): over_seeds(values) for name, values in numbers.items()}
    return found | {"seeds": len(numbers), "diverged": int(rates["loss"].isna().sum())}


def of_family(shallow: pd.DataFrame, deep: pd.DataFrame, log2_lr: int) -> dict[str, Any]:
    """What becomes of the numbers from the smallest to the largest depth of a family, seed by seed.

    Args:
        shallow: Columns seed, log2_lr, rms_change, loss of the shallowest variant.
        deep: Those of the deepest one.
        log2_lr: The learning rate at which depths are compared.

    Returns:
        ``rms_change_ratio``, ``loss_ratio`` and ``lowest_loss_ratio``, deep over shallow; ``best_log2_lr_shift``, deep
        minus shallow; ``carried_loss_ratio``, the deep network's loss at the rate that is best for the shallow one,
        over its lowest; each {mean, std, min, max, seeds}. ``seeds``: how many were trained.
    """
    first, last = (by_seed(rates, log2_lr) for rates in (shallow, deep))
    losses = _losses(deep)
    best = first["best_log2_lr"].dropna()
    carried = pd.Series({seed: losses.at[seed, rate] for seed, rate in best.items()}, dtype=float)
    found = {f"{name}_ratio": last[name] / first[name] for name in ("rms_change", "loss", "lowest_loss")}
    found["best_log2_lr_shift"] = last["best_log2_lr"] - first["best_log2_lr"]
    found["carried_loss_ratio"] = carried / last["lowest_loss"]
    spreads = {name: over_seeds(values.where(np.isfinite(values))) for name, values in found.items()}
    return {**spreads, "seeds": len(first)}


def of_all(rates: pd.DataFrame, config: Params) -> Mapping[str, Any]:
    """The content of metrics.json: each variant, then each family of several depths."""
    log2_lr = config.analysis.log2_lr
    own = {name: rates[rates["variant"] == name] for name in config.variants}
    found = {name: of_variant(table, log2_lr) for name, table in own.items()}
    for family, members in families(config).items():
        if len(members) > 1:
            shallow, *_, deep = members
            found[family] = of_family(own[shallow], own[deep], log2_lr)
    return found


def _losses(rates: pd.DataFrame) -> pd.DataFrame:
    """Losses by seed and log2_lr."""
    return rates.pivot(index="seed", columns="log2_lr", values="loss")
