"""The numbers of the memory study, from its tables."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, FROM_1, SHARE, SIZE, Column, Columns, within
from studies.memory.params import Params
from studies.memory.rules import RULES

MOMENTS = ("start", "end", "shut")
_COSINE = Column(low=-1.000001, high=1.000001)
_NUMBERS_OF_WEIGHT = 3  # itself, its gradient, its momentum
_BYTES = 4


def tables(config: Params) -> dict[str, Columns]:
    """The columns of the tables of one variant; of those that are trained with sketches there is only ``seeds``."""
    last = {"seed": config.seeds - 1}
    moment = Column(str, words=MOMENTS, key=True)
    own: dict[str, Columns] = {
        "seeds": {"seed": FROM_0, "diverged": Column(low=1, gaps=True), "accuracy": Column(low=0, high=1, gaps=True)},
        "sketches": {
            "moment": moment,
            "buckets": FROM_1,
            "scalars": Column(int, low=0, high=1, key=True),
            "seed": FROM_0,
            "block": FROM_1,
            "squared": SIZE,
            "size": SIZE,
            "expected": SIZE,
            "cosine": _COSINE,
            "of_mean": SIZE,
        },
        "exact": {
            "moment": moment,
            "seed": FROM_0,
            "sketch_others": SIZE,
            "bits_all": SIZE,
            "whole_error": SIZE,
            "rows_error": SIZE,
            "rows_kept": SHARE,
            "means_cosine": _COSINE,
        },
        "rules": {
            "moment": moment,
            "rule": Column(str, words=tuple(RULES), key=True),
            "seed": FROM_0,
            "error": SIZE,
            "kept": SHARE,
        },
    }
    return {name: within(columns, **last) for name, columns in own.items()}


def saved_columns() -> Columns:
    """The columns of the table of bytes."""
    return {
        "way": Column(str, key=True),
        **dict.fromkeys(("depth", "batch", "width"), FROM_1),
        **dict.fromkeys(("forward", "peak"), Column(int, low=1)),
    }


def of_training(seeds: pd.DataFrame, twin: pd.DataFrame | None = None) -> dict[str, Any]:
    """Numbers of a trained variant for metrics.json, over seeds {mean, std, min, max, seeds}.

    Args:
        seeds: Columns seed, diverged, accuracy.
        twin: Likewise, of the variant that keeps all; None: there is none.

    Returns:
        ``accuracy``; ``lost``: how much more the twin has, seed by seed.
    """
    accuracy = seeds.set_index("seed")["accuracy"]
    found = {"accuracy": over_seeds(accuracy)}
    if twin is not None:
        found["lost"] = over_seeds(twin.set_index("seed")["accuracy"] - accuracy)
    return found


def of_seeds(sketches: pd.DataFrame) -> pd.DataFrame:
    """What the sketches of all blocks of a network do together.

    Args:
        sketches: Columns as in :func:`tables`, of one variant.

    Returns:
        Columns moment, buckets, scalars, seed; error, the root of the mean squared distance of all blocks' gradients
        over their norm; cosine, a mean over blocks; variance, the mean over blocks of the mean squared distance over
        what theory expects, nan where that is 0; of_mean, a mean over blocks.
    """
    known = sketches.assign(variance=(sketches["squared"] / sketches["expected"]).where(sketches["expected"] > 0))
    groups = known.groupby(["moment", "buckets", "scalars", "seed"], sort=False)
    found: pd.DataFrame = groups[["cosine", "variance", "of_mean"]].mean()
    found.insert(0, "error", (groups["squared"].sum() / groups["size"].sum()) ** 0.5)
    return found.reset_index()


def of_errors(sketches: pd.DataFrame, exact: pd.DataFrame, rules: pd.DataFrame) -> dict[str, Any]:
    """Numbers of gradients for metrics.json, over seeds {mean, std, min, max, seeds}.

    Returns:
        For each moment M and number of buckets R ``error_M_R``, ``cosine_M_R``, ``variance_M_R`` and ``of_mean_M_R`` of
        :func:`of_seeds`, and for the fewest buckets ``error_scalars_M_R`` and ``cosine_scalars_M_R``; the columns of
        ``exact``, each with ``_M``; for each rule ``error_RULE_M``, and ``relative_RULE_M``, that over the error where
        all blocks keep as much, seed by seed.
    """
    found: dict[str, Any] = {}
    kinds = of_seeds(sketches)
    kinds["of"] = kinds["moment"] + "_" + kinds["buckets"].astype(str)
    for scalars, columns in ((0, ("error", "cosine", "variance", "of_mean")), (1, ("error", "cosine"))):
        for of, own in kinds[kinds["scalars"] == scalars].groupby("of", sort=False):
            found |= {f"{name}{'_scalars' * scalars}_{of}": over_seeds(own[name]) for name in columns}
    for moment, own in exact.groupby("moment", sort=False):
        for name in own.columns.drop(["variant", "moment", "seed"]):
            found[f"{name}_{moment}"] = over_seeds(own[name])
    for (moment, rule), values, relative in relatives(rules):
        found[f"error_{rule}_{moment}"] = over_seeds(values)
        found[f"relative_{rule}_{moment}"] = over_seeds(relative)
    return found


def relatives(rules: pd.DataFrame) -> Iterator[tuple[tuple[str, str], "pd.Series[float]", "pd.Series[float]"]]:
    """For each moment and rule of one variant: the error by seed, and over that where all blocks keep as much."""
    for moment, own in rules.groupby("moment", sort=False):
        error = own.pivot(index="seed", columns="rule", values="error")
        for rule in dict.fromkeys(own["rule"]):
            yield (str(moment), rule), error[rule], error[rule] / error["equal"]


def of_saved(saved: pd.DataFrame) -> dict[str, Any]:
    """Bytes for metrics.json, all of them exact counts.

    Returns:
        For each way W, depth L, rows B and units n ``peak_W_L_B_n``, the most bytes that are held at once; for each
        size, but for checkpoints, ``times_W_B_n``, how much deeper than by the way ``full`` a network may be in the
        same memory; and ``times_weights_W_B_n``, the same where weights, gradients and momentum are in it as well.
    """
    found: dict[str, Any] = {
        f"peak_{way}_{depth}_{batch}_{width}": int(peak)
        for way, depth, batch, width, _, peak in saved.itertuples(index=False)
    }
    of_block = saved.assign(block=saved["peak"] / saved["depth"]).drop_duplicates(["way", "batch", "width"])
    for batch, width in of_block[["batch", "width"]].drop_duplicates().itertuples(index=False):
        own = of_block[(of_block["batch"] == batch) & (of_block["width"] == width)]
        block = own.set_index("way")["block"]
        weights = _NUMBERS_OF_WEIGHT * _BYTES * (width**2 + width)
        for way in block.index.drop("full"):
            if not way.startswith("checkpoint"):
                name = f"{way}_{batch}_{width}"
                found[f"times_{name}"] = float(block["full"] / block[way])
                found[f"times_weights_{name}"] = float((block["full"] + weights) / (block[way] + weights))
    return found
