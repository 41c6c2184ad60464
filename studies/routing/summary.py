"""The numbers of one network of the routing study, from its tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, NUMBER, SHARE, SIZE, Column, Columns, within
from studies.routing.params import Params

POLICIES = {
    "oracle_ratio": "oracle: largest branch over stream",
    "oracle_norm": "oracle: largest branch",
    "norm_below": "skip where the stream is small",
    "norm_above": "skip where the stream is large",
    "random": "random",
    "fixed": "the same blocks for all rows",
    "early_exit": "early exit",
    "learned": "learned from the stream",
    "learned_from_norm": "learned from its norm",
    "learned_jointly": "learned with the network",
}
_OF_SEED = ("share", "work", "lost", "agreement", "kl", "correlation")


def tables(config: Params) -> dict[str, Columns]:
    """The columns of the tables of one variant."""
    last = {"seed": config.seeds - 1}
    asked = {"policy": Column(str, words=POLICIES, key=True), "target": Column(low=0, high=1, key=True)}
    return {
        "seeds": within({"seed": FROM_0, "diverged": Column(low=1, gaps=True)}, **last),
        "policies": within(
            {
                "seed": FROM_0,
                "share": SHARE,
                "work": SIZE,
                "accuracy": SHARE,
                "lost": Column(low=-1, high=1),
                "agreement": SHARE,
                "kl": NUMBER,
                "correlation": Column(low=-1, high=1, gaps=True),
                "shuffled": SHARE,
                **asked,
            },
            **last,
        ),
        "rows": {
            "row": FROM_0,
            "blocks": Column(low=0, high=config.depth),
            "right": SHARE,
            **asked,
            "x1": NUMBER,
            "x2": NUMBER,
            "label": Column(int, low=0, high=1),
        },
    }


def of_variant(policies: pd.DataFrame) -> dict[str, Any]:
    """A variant's numbers for metrics.json, over seeds {mean, std, min, max, seeds}.

    Returns:
        ``accuracy`` of the whole network, and for each policy P at a share of S percent P_S_share, P_S_work, P_S_lost,
        P_S_agreement, P_S_kl and P_S_correlation as :func:`studies.routing.measured.policy` defines them, and
        P_S_shuffled, what more of the accuracy is gone when rows run the blocks that were chosen for others.
    """
    whole = policies[policies["target"] == 1].drop_duplicates("seed")
    found: dict[str, Any] = {"accuracy": over_seeds(whole["accuracy"])}
    for (policy, target), own in policies[policies["target"] < 1].groupby(["policy", "target"], sort=False):
        name = f"{policy}_{_percent(target)}".replace(".", "_")
        found |= {f"{name}_{column}": over_seeds(own[column]) for column in _OF_SEED}
        found[f"{name}_shuffled"] = over_seeds(own["accuracy"] - own["shuffled"])
    return found


def _percent(share: Any) -> str:
    return f"{100 * share:g}"
