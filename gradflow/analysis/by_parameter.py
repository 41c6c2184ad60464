"""The metrics of families, variants that differ in one parameter alone, against that parameter."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from gradflow.analysis.spread import spreads

# Metrics to draw against a parameter, in words.
METRICS = {
    "train_loss": "train loss at the end",
    "val_accuracy": "validation accuracy at the end",
    "learnt": "share of seeds that learnt",
    "log10_grad_first_over_last_start": "log10 ‖∂loss/∂W‖ of block 1 over the last, start",
    "log10_grad_first_over_last": "log10 ‖∂loss/∂W‖ of block 1 over the last, end",
}


def table(found: Mapping[str, Mapping[str, float | str]], metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Columns variant (the family), at (the value of the parameter), metric, mean, min, max.

    Args:
        found: From :func:`gradflow.analysis.families.families`.
        metrics: Those of each variant.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for family, members in found.items():
            for variant, value in members.items():
                numbers = dict(spreads(metrics[variant]))
                for metric, words in METRICS.items():
                    if metric in numbers:
                        yield {"variant": family, "at": value, "metric": words} | numbers[metric]

    return pd.DataFrame(list(rows()), columns=["variant", "at", "metric", "mean", "min", "max"])
