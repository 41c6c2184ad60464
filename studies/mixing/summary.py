"""The numbers of the mixing study, from its tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, FROM_1, NUMBER, SHARE, SIZE, Column, Columns, within
from studies.mixing.params import Params

MOMENTS = ("start", "end")
_SIZE_OR_GAP = Column(low=0, gaps=True)
_SEEDS = ("logits_gap", "stream_ratio_start", "stream_ratio_end", "stream_ratio_shut", "stream_ratio_shut_predicted")


def tables(config: Params) -> dict[str, Columns]:
    """The columns of the tables of one variant."""
    last = {"seed": config.seeds - 1}
    moment = Column(str, words=MOMENTS, key=True)
    return {
        "seeds": within(
            {
                "seed": FROM_0,
                "accuracy": SHARE,
                "logits_gap": _SIZE_OR_GAP,
                "numbers": Column(int, low=1),
                "stream_ratio_start": SIZE,
                "stream_ratio_end": _SIZE_OR_GAP,
                "stream_ratio_shut": _SIZE_OR_GAP,
                "stream_ratio_shut_predicted": _SIZE_OR_GAP,
                "diverged": Column(low=1, gaps=True),
            },
            **last,
        ),
        "layers": within(
            {"seed": FROM_0, "layer": FROM_1, "weight_grad_norm": SIZE, "branch": SIZE, "moment": moment},
            **last,
            layer=config.depth,
        ),
        "shares": within(
            {"seed": FROM_0, "layer": FROM_1, "source": FROM_0, "share": NUMBER, "moment": moment},
            **last,
            layer=config.depth,
            source=config.depth,
        ),
    }


def of_variant(seeds: pd.DataFrame, layers: pd.DataFrame, shares: pd.DataFrame, first: pd.DataFrame) -> dict[str, Any]:
    """Numbers of a variant for metrics.json.

    Args:
        seeds: Its rows of each table.
        layers: Likewise.
        shares: Likewise.
        first: The rows of ``seeds`` of the first variant.

    Returns:
        Over seeds {mean, std, min, max, seeds}: ``accuracy``; ``accuracy_gain``, over the first variant, seed by seed;
        the columns of ``seeds``; for each moment M ``weight_span_M``, the largest over the smallest ||dLoss/dW|| of the
        blocks, ``branch_span_M``, that of the sizes of their branches, and ``largest_branch_M``, the largest branch
        over the sum of all; ``input_share_M``, the share of the stem in the streams behind the blocks, of its absolute
        size among all, and ``older_share_M``, that of all but the newest, means over the blocks. By block:
        ``weight_grad_norm_M``, ``input_share_by_block_M``. A number: ``numbers_added``, how many more than the first
        variant a network learns. None, or nothing, where the variant has no such number.
    """
    alive = seeds[seeds["diverged"].isna()].set_index("seed")
    found: dict[str, Any] = {
        "accuracy": over_seeds(alive["accuracy"]),
        "accuracy_gain": over_seeds(alive["accuracy"] - first.set_index("seed")["accuracy"]),
        "numbers_added": int(seeds["numbers"].iloc[0] - first["numbers"].iloc[0]),
    }
    for name in _SEEDS:
        spread = over_seeds((alive if name == "stream_ratio_end" else seeds)[name])
        found |= {name: spread} if spread["seeds"] else {}
    for moment in MOMENTS:
        own = layers[layers["moment"] == moment]
        norms, branches = (
            own.pivot(index="seed", columns="layer", values=name) for name in ("weight_grad_norm", "branch")
        )
        for name, table in (("weight_span", norms), ("branch_span", branches)):
            found[f"{name}_{moment}"] = over_seeds(span(table))
        found[f"largest_branch_{moment}"] = over_seeds(branches.max(axis=1) / branches.sum(axis=1))
        found[f"weight_grad_norm_{moment}"] = [over_seeds(norms[layer]) for layer in norms]
        of_depth = shares[shares["moment"] == moment]
        if len(of_depth):
            relative = in_sizes(of_depth)
            of_input, newest = (
                relative[relative["source"] == source].pivot(index="seed", columns="layer", values="share")
                for source in (0, relative["layer"])
            )
            found[f"input_share_{moment}"] = over_seeds(of_input.mean(axis=1))
            found[f"older_share_{moment}"] = over_seeds(1 - newest.mean(axis=1))
            found[f"input_share_by_block_{moment}"] = [over_seeds(of_input[layer]) for layer in of_input]
    return found


def span(by_layer: pd.DataFrame) -> "pd.Series[float]":
    """Largest over smallest number of each row; nan where the smallest is 0."""
    return by_layer.max(axis=1) / by_layer.min(axis=1).where(lambda smallest: smallest > 0)


def in_sizes(shares: pd.DataFrame) -> pd.DataFrame:
    """Shares by their absolute size among all of one stream, so that they sum to 1 where they have signs as well."""
    sizes = shares.assign(share=shares["share"].abs())
    keys = [key for key in ("variant", "moment", "seed", "layer") if key in shares]
    return sizes.assign(share=sizes["share"] / sizes.groupby(keys)["share"].transform("sum"))
