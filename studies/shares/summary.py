"""The numbers of the study of shares, from its tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, SHARE, SIZE, Column, Columns, within
from studies.shares.params import Params, Trained

_MEASURED = ("accuracy", "stream", "gradient")


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
                "moment": Column(str, words=("start", "end"), key=True),
                "share": Column(low=0, high=1, key=True),
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
        At the share at which it was trained: ``accuracy``, and growth of ``stream`` and ``gradient`` over the blocks,
        ``_start`` and ``_end`` of training. And after training at each share of P percent: ``at_P_accuracy``,
        ``at_P_lost``, what of the accuracy is gone, ``at_P_stream`` and ``at_P_gradient``.
    """
    of_moment = {moment: runs[runs["moment"] == moment] for moment in ("start", "end")}
    own = {moment: rows[rows["share"] == chosen.share].set_index("seed") for moment, rows in of_moment.items()}
    found: dict[str, Any] = {"accuracy": over_seeds(own["end"]["accuracy"])}
    for moment, rows in own.items():
        found |= {f"{column}_{moment}": over_seeds(rows[column]) for column in ("stream", "gradient")}
    for share, rows in of_moment["end"].groupby("share"):
        at = rows.set_index("seed")
        found |= {f"at_{percent(share)}_{column}": over_seeds(at[column]) for column in _MEASURED}
        found[f"at_{percent(share)}_lost"] = over_seeds(own["end"]["accuracy"] - at["accuracy"])
    return found | {"seeds": seeds}


def percent(share: Any) -> str:
    """A share as part of a name."""
    return f"{100 * share:g}".replace(".", "_")


GROWTH: Columns = {
    "kind": Column(str, words=("as it is", "rescaled", "experts", "weighted experts"), key=True),
    "share": Column(low=0, high=1, key=True),
    "depth": Column(int, low=1, key=True),
    "exponent": Column(low=0, high=1, key=True),
    "seed": FROM_0,
    "stream": SIZE,
    "gradient": SIZE,
    "law": SIZE,
    "drawn": SIZE,
}


def of_growth(growth: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The numbers of the stage growth for metrics.json, by setting: KIND_SHARE_depth_DEPTH_exponent_EXPONENT.

    Returns:
        ``stream`` and ``gradient``, their growth over the blocks, over seeds; ``law`` of both; and, over seeds,
        ``stream_over_drawn`` and ``gradient_over_drawn``, growth over what the law says for the rows drawn.
    """
    found = {}
    for (kind, share, depth, exponent), own in growth.groupby(["kind", "share", "depth", "exponent"], sort=False):
        name = f"{kind}_{percent(share)}_depth_{depth}_exponent_{exponent:g}".replace(" ", "_").replace(".", "_")
        found[name] = {
            **{column: over_seeds(own[column]) for column in ("stream", "gradient")},
            "law": float(own["law"].iloc[0]),
            **{f"{column}_over_drawn": over_seeds(own[column] / own["drawn"]) for column in ("stream", "gradient")},
            "seeds": len(own),
        }
    return found
