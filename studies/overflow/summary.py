"""The numbers of one network of the overflow study, from its tables."""

from typing import Any, get_args

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, FROM_1, Column, Columns, by_variant, within
from studies.overflow.params import Params, Precision

_MEASURED = Column(low=0, gaps=True)
PREDICTED = ("variance", "gradient_ratio")
DEPTHS = {
    "seed": FROM_0,
    "depth": FROM_1,
    **dict.fromkeys((*PREDICTED, "gradient_span"), _MEASURED),
    **dict.fromkeys((f"{name}_theory" for name in PREDICTED), _MEASURED),
}
SCALED = {
    "seed": FROM_0,
    "precision": Column(str, words=get_args(Precision), key=True),
    **dict.fromkeys(("overflow", "block", "zero_gradient"), _MEASURED),
}


def tables(config: Params) -> tuple[Columns, Columns]:
    """The columns of what was measured by depth, and with scaled weights."""
    depths, scaled = (by_variant(columns, config.variants) for columns in (DEPTHS, SCALED))
    return within(depths, seed=config.seeds - 1, depth=config.depths[-1]), within(scaled, seed=config.seeds - 1)


def summary(depths: pd.DataFrame, scaled: pd.DataFrame) -> dict[str, Any]:
    """Numbers for metrics.json.

    Args:
        depths: From :func:`studies.overflow.signals.by_depth`.
        scaled: From :func:`studies.overflow.scaling.by_precision`.

    Returns:
        Over seeds {mean, std, min, max, seeds}, for each depth D: ``variance_depth_D``, ``gradient_ratio_depth_D`` and
        ``gradient_span_depth_D``, of which the first two have what theory says beside them under the same name and
        ``_predicted``, None where it says nothing; for each precision P, over the seeds that have such a number:
        ``overflow_factor_P``, the smallest factor on the first maps with which anything is not finite,
        ``overflow_block_P``, where, and ``zero_gradient_factor_P``, the smallest one with which the gradient of a first
        map is exactly 0, be it too small or be it that a norm gives 0 since its variance overflows; and ``seeds``, how
        many there are.
    """
    found: dict[str, Any] = {}
    for depth, rows in depths.groupby("depth"):
        for name in (*PREDICTED, "gradient_span"):
            found[f"{name}_depth_{depth}"] = over_seeds(rows[name])
        for name in PREDICTED:
            theory = rows[f"{name}_theory"].iloc[0]
            found[f"{name}_depth_{depth}_predicted"] = None if pd.isna(theory) else float(theory)
    for precision, rows in scaled.groupby("precision", sort=False):
        for name in ("overflow", "zero_gradient"):
            found[f"{name}_factor_{precision}"] = over_seeds(10.0 ** rows[name])
        found[f"overflow_block_{precision}"] = over_seeds(rows["block"])
    return found | {"seeds": int(depths["seed"].nunique())}
