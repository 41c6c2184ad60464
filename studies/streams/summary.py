"""The numbers of one network of the study of streams, from its tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, FROM_1, SHARE, SIZE, Column, Columns, by_variant, within
from studies.streams.params import Params

SOLVED = 0.95  # accuracy
GAPS = Column(gaps=True)
_DISTANCE = Column(low=-1e-6)  # 0 but for rounding


def tables(config: Params, variant: str) -> dict[str, Columns]:
    """The columns of the tables of one variant, by name."""
    about = config.sequences
    layer = within({"layer": FROM_0}, layer=2 * config.layers(variant))
    position = within({"position": FROM_0}, position=about.positions - 1)
    token = Column(int, low=0, high=about.tokens - 1)
    found: dict[str, Columns] = {
        "history": {"seed": FROM_0, "epoch": FROM_1, "train_loss": SIZE, "val_loss": SIZE, "val_accuracy": SHARE},
        "streams": {
            **layer,
            "norm": SIZE,
            "gradient": SIZE,
            "cosine": Column(low=-1.000001, high=1.000001),
            "seed": FROM_0,
            "moment": Column(str, words=("start", "end"), key=True),
        },
        "reading": {
            **layer,
            "logit": _DISTANCE,
            "tuned": _DISTANCE,
            "direct": GAPS,
            "whole": GAPS,
            "seed": FROM_0,
        },
        "patches": {**layer, **position, "recovered": GAPS, "seed": FROM_0},
    }
    found = {name: within(columns, seed=config.seeds - 1) for name, columns in found.items()}
    said = {"logit": token, "logit_probability": SHARE, "tuned": token, "tuned_probability": SHARE}
    known = {"token": token, "next": token, "told": Column(int, low=0, high=1)}
    return found | {"tokens": {**layer, **position, **known, **said}}


def joined(config: Params) -> dict[str, Columns]:
    """The columns of the tables of all variants."""
    deepest = min(config.variants, key=lambda name: config.variants[name].depth_over)
    return {name: by_variant(columns, config.variants) for name, columns in tables(config, deepest).items()}


def of_variant(
    config: Params, history: pd.DataFrame, streams: pd.DataFrame, reading: pd.DataFrame, patches: pd.DataFrame
) -> dict[str, Any]:
    """A variant's numbers for metrics.json, over seeds {mean, std, min, max, seeds}.

    Args:
        config: Parameters.
        history: Its rows of history.csv.
        streams: Those of streams.csv.
        reading: Those of reading.csv.
        patches: Those of patches.csv.

    Returns:
        ``accuracy`` at the end, and the ``best`` one; ``solved``, the share of seeds whose accuracy has reached SOLVED,
        and ``solved_at``, the step at which they had. At start and end of the training: ``norm_growth``, ||x_L|| /
        ||x_0||; ``power_added``, its square less 1; ``gradient_ratio``, ||dLoss/dx_0|| / ||dLoss/dx_L||; ``cosine``
        between positions of the last stream, ``first_cosine`` of the first. ``logit_lens_middle``,
        ``tuned_lens_middle``: KL of the lens behind half of the sublayers. ``source_half`` and ``query_half``: the
        share of the sublayers up to which patches at the positions where the answer stood bring half of it back, taken
        together, and from which one at the last position does. ``whole_layer_error``: the largest distance from 1 of
        what whole layers bring back. Where sublayers add to a stream: ``direct_of_last_quarter``, what the last quarter
        of the sublayers give to the logit of the right token, over what all give.
    """
    solved = history[history["val_accuracy"] >= SOLVED].groupby("seed")["epoch"].min()
    by_seed = history.sort_values("epoch").groupby("seed")["val_accuracy"]
    depth = int(streams["layer"].max())
    found: dict[str, Any] = {
        "accuracy": over_seeds(by_seed.last()),
        "best": over_seeds(by_seed.max()),
        "solved": len(solved) / config.seeds,
        "solved_at": over_seeds(solved * config.train.every),
    }
    for moment, own in streams.groupby("moment", sort=False):
        first, last = (own[own["layer"] == layer].set_index("seed") for layer in (0, depth))
        growth = last["norm"] / first["norm"]
        found |= {
            f"norm_growth_{moment}": over_seeds(growth),
            f"power_added_{moment}": over_seeds(growth**2 - 1),
            f"gradient_ratio_{moment}": over_seeds(first["gradient"] / last["gradient"]),
            f"cosine_{moment}": over_seeds(last["cosine"]),
            f"first_cosine_{moment}": over_seeds(first["cosine"]),
        }
    middle = reading[reading["layer"] == depth // 2]
    found |= {f"{name}_lens_middle": over_seeds(middle[name]) for name in ("logit", "tuned")}
    about = config.sequences
    stood = list(range(about.positions - about.longest, -1, -about.longest))
    for name, places, pick in (("source", stood, "max"), ("query", [about.positions - 1], "min")):
        back = patches[patches["position"].isin(places)].groupby(["seed", "layer"], as_index=False)["recovered"].sum()
        found[f"{name}_half"] = over_seeds(
            back[back["recovered"] >= 0.5].groupby("seed")["layer"].agg(pick) / depth  # half of the answer
        )
    found["whole_layer_error"] = over_seeds((reading["whole"] - 1).abs().groupby(reading["seed"]).max())
    if not reading["direct"].isna().any():
        late = reading[reading["layer"] > depth - depth / 4].groupby("seed")["direct"].sum()
        found["direct_of_last_quarter"] = over_seeds(late / reading.groupby("seed")["direct"].sum())
    return found | {"seeds": config.seeds}
