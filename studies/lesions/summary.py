"""The numbers of one network of the lesions study, from its tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, NUMBER, SHARE, SIZE, Column, Columns, within
from studies.lesions.params import Params

KINDS, MOMENTS = ("single", "dropped", "swapped"), ("start", "end")
SHORT, LONG = 5, 10  # branches on paths that count as short, and as long, at 20 blocks
_MOST = 0.95  # of the energy


def tables(config: Params) -> dict[str, Columns]:
    """The columns of the tables of one variant."""
    last = {"seed": config.seeds - 1}
    return {
        "seeds": within({"seed": FROM_0, "diverged": Column(low=1, gaps=True)}, **last),
        "lesions": within(
            {
                "seed": FROM_0,
                "kind": Column(str, words=KINDS, key=True),
                "number": FROM_0,
                "draw": FROM_0,
                "accuracy": SHARE,
            },
            **last,
        ),
        "paths": within(
            {
                "moment": Column(str, words=MOMENTS, key=True),
                "seed": FROM_0,
                "length": FROM_0,
                "energy": SHARE,
                "share": NUMBER,
                "binomial": Column(low=0, high=1, gaps=True),
                "error": SIZE,
            },
            **last,
            length=config.depth,
        ),
    }


def of_lesions(lesions: pd.DataFrame) -> dict[str, Any]:
    """Accuracies for metrics.json, over seeds {mean, std, min, max, seeds}, each a mean over the draws.

    Returns:
        ``accuracy`` of the whole network; ``single_mean``, ``single_worst``: with one block dropped, the mean over the
        blocks and the worst of them; ``dropped_K``: with K random blocks dropped; ``swapped_K``: after K swaps;
        ``largest_fall``: the largest fall of ``dropped_K`` from one K to the next.
    """
    single, dropped, swapped = (lesions[lesions["kind"] == kind] for kind in KINDS)
    of_blocks = single.groupby("seed")["accuracy"]
    by_number = dropped.groupby(["seed", "number"])["accuracy"].mean().unstack()
    by_swaps = swapped.groupby(["seed", "number"])["accuracy"].mean().unstack()
    found = {
        "accuracy": over_seeds(by_number[0]),
        "single_mean": over_seeds(of_blocks.mean()),
        "single_worst": over_seeds(of_blocks.min()),
        "largest_fall": over_seeds(-by_number.diff(axis=1).min(axis=1)),
    }
    for name, table in (("dropped", by_number), ("swapped", by_swaps)):
        found |= {f"{name}_{number}": over_seeds(table[number]) for number in table.columns if number}
    return found


def of_paths(paths: pd.DataFrame) -> dict[str, Any]:
    """Path lengths for metrics.json, over seeds {mean, std, min, max, seeds}.

    Returns:
        For each moment M: ``mean_length_M``, weighted by energy; ``most_length_M``: paths of up to so many branches
        hold 95 % of it; ``short_share_M``: the share of the gradient, along it, that comes through 1 to 5 branches;
        ``long_share_M``: through more than 10, its size. ``mean_length_start_predicted``: that of the binomial
        distribution. ``path_error``: the largest error of the sum, a number.
    """
    found: dict[str, Any] = {}
    for moment, rows in paths.groupby("moment", sort=False):
        energy, share = (rows.pivot(index="seed", columns="length", values=name) for name in ("energy", "share"))
        lengths = energy.columns.to_numpy(dtype=int)
        found[f"mean_length_{moment}"] = over_seeds((energy * lengths).sum(axis=1))
        found[f"most_length_{moment}"] = over_seeds((energy.cumsum(axis=1) < _MOST).sum(axis=1))
        found[f"short_share_{moment}"] = over_seeds(share.loc[:, (lengths >= 1) & (lengths <= SHORT)].sum(axis=1))
        found[f"long_share_{moment}"] = over_seeds(share.loc[:, lengths > LONG].sum(axis=1).abs())
    start = paths[(paths["moment"] == "start") & (paths["seed"] == paths["seed"].min())]
    expected = float((start["binomial"] * start["length"]).sum(min_count=1))
    found["mean_length_start_predicted"] = None if pd.isna(expected) else expected
    return found | {"path_error": float(paths["error"].max())}
