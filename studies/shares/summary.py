"""The numbers of the study of shares, from its tables."""

from typing import Any

import numpy as np
import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, SHARE, SIZE, Column, Columns, within
from studies.shares.params import Params, Trained


def tables(config: Params) -> dict[str, Columns]:
    """The columns of the tables of one variant."""
    last = {"seed": config.seeds - 1}
    return {
        "seeds": within({"seed": FROM_0, "diverged": Column(low=1, gaps=True)}, **last),
        "runs": within(
            {
                "seed": FROM_0,
                "accuracy": SHARE,
                "stream": SIZE,
                "gradient": SIZE,
                "law": Column(low=0, gaps=True),
                "moment": Column(str, words=("start", "end"), key=True),
                "share": Column(low=0, high=1, key=True),
                "kept": Column(str, words=("weight", "mean"), key=True),
            },
            **last,
        ),
    }


def of_variant(runs: pd.DataFrame, chosen: Trained, seeds: int) -> dict[str, Any]:
    """A variant's numbers for metrics.json, over seeds that did not diverge {mean, std, min, max, seeds}.

    Args:
        runs: Its rows of runs.csv.
        chosen: The variant.
        seeds: How many were trained.

    Returns:
        At the share at which it was trained: ``accuracy``; growth of ``stream`` and ``gradient`` over the blocks,
        ``_start`` and ``_end`` of training, and ``_change``, the latter over the former. After training at each share
        of P percent, with the weight of the training: ``at_P_accuracy``; ``at_P_lost``, what of the accuracy is gone;
        ``at_P_stream``, ``at_P_gradient``, and both over their law, ``at_P_stream_over_law`` and so on. And
        ``mean_at_P_accuracy`` and ``mean_at_P_lost`` with the weight that keeps the mean of the training.
    """
    of_moment = {moment: runs[(runs["moment"] == moment) & (runs["kept"] == "weight")] for moment in ("start", "end")}
    start, end = (rows[rows["share"] == chosen.share].set_index("seed") for rows in of_moment.values())
    found: dict[str, Any] = {"accuracy": over_seeds(end["accuracy"])}
    for column in ("stream", "gradient"):
        found |= {
            f"{column}_start": over_seeds(start[column]),
            f"{column}_end": over_seeds(end[column]),
            f"{column}_change": over_seeds(end[column] / start[column]),
        }
    for share, rows in of_moment["end"].groupby("share"):
        at, name = rows.set_index("seed"), f"at_{percent(share)}"
        found |= {f"{name}_{column}": over_seeds(at[column]) for column in ("accuracy", "stream", "gradient")}
        found |= {f"{name}_{column}_over_law": over_seeds(at[column] / at["law"]) for column in ("stream", "gradient")}
        found[f"{name}_lost"] = over_seeds(end["accuracy"] - at["accuracy"])
    for share, rows in runs[(runs["moment"] == "end") & (runs["kept"] == "mean")].groupby("share"):
        at, name = rows.set_index("seed"), f"mean_at_{percent(share)}"
        found[f"{name}_accuracy"] = over_seeds(at["accuracy"])
        found[f"{name}_lost"] = over_seeds(end["accuracy"] - at["accuracy"])
    return found | {"seeds": seeds}


def percent(share: Any) -> str:
    """A share as part of a name."""
    return f"{100 * share:g}".replace(".", "_")


GROWTH: Columns = {
    "kind": Column(str, words=("as it is", "mean kept", "power kept", "two experts", "experts by softmax"), key=True),
    "share": Column(low=0, high=1, key=True),
    "depth": Column(int, low=1, key=True),
    "exponent": Column(low=0, high=1, key=True),
    "seed": FROM_0,
    "stream": SIZE,
    "gradient": SIZE,
    "law": Column(low=0, gaps=True),
    "drawn": SIZE,
    "limit": Column(low=0, gaps=True),
}


def of_growth(growth: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The numbers of the stage growth for metrics.json, by setting: KIND_SHARE_depth_DEPTH_exponent_EXPONENT.

    Returns:
        ``stream`` and ``gradient``, their growth over the blocks, over seeds; ``law`` of both; and, over seeds, each of
        them ``_over_drawn``, over what the law says for the rows drawn; ``_log_over_law``, the logarithm over that of
        the law, since where next to nothing grows all ratios are about 1; and, where the exponent is 1/2,
        ``_over_limit``, over what the law stays below at any depth.
    """
    found = {}
    for (kind, share, depth, exponent), own in growth.groupby(["kind", "share", "depth", "exponent"], sort=False):
        name = f"{kind}_{percent(share)}_depth_{depth}_exponent_{exponent:g}".replace(" ", "_").replace(".", "_")
        numbers: dict[str, Any] = {"law": None if own["law"].isna().all() else float(own["law"].iloc[0])}
        for column in ("stream", "gradient"):
            numbers[column] = over_seeds(own[column])
            numbers[f"{column}_over_drawn"] = over_seeds(own[column] / own["drawn"])
            numbers[f"{column}_log_over_law"] = over_seeds(np.log(own[column]) / np.log(own["law"]))
            if exponent == 0.5:  # the one with a limit
                numbers[f"{column}_over_limit"] = over_seeds(own[column] / own["limit"])
        found[name] = numbers | {"seeds": len(own)}
    return found
