"""The numbers of one network of the study of streams, from its tables."""

from pathlib import Path
from typing import Any

import pandas as pd

from gradflow.analysis.spread import Spread, over_seeds
from gradflow.files import documents
from gradflow.tables.columns import FROM_0, FROM_1, SHARE, SIZE, Column, Columns, by_variant, within
from studies.streams.params import Params

SOLVED = 0.95  # accuracy
LEARNT = 0.9  # mean accuracy from which on it is worth asking where the answer is
GAPS = Column(gaps=True)
_DISTANCE = Column(low=-1e-6, gaps=True)  # 0 but for rounding
_SIZE = Column(low=0, gaps=True)
_PROBABILITY = Column(low=0, high=1, gaps=True)
_READ = 0.5  # nats, from which on a tuned lens reads what the network says


class _Numbers(documents.Document):
    """What :func:`have_learnt` reads of a network's numbers."""

    accuracy: Spread


def have_learnt(config: Params, metrics: Path) -> list[str]:
    """The variants whose accuracy in the end, a mean over seeds, is at least LEARNT.

    Args:
        config: Parameters.
        metrics: The file metrics.json.

    Raises:
        RunError: It is missing or damaged, or holds something else.
    """
    names = [*config.variants, *(f"twin_{name}" for name in config.twin.variants)]
    numbers = documents.read_by_variant(metrics, _Numbers, names)
    return [name for name in config.variants if (numbers[name]["accuracy"]["mean"] or 0) >= LEARNT]


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
            "norm": _SIZE,
            "gradient": _SIZE,
            "cosine": Column(low=-1.000001, high=1.000001, gaps=True),
            "change": _SIZE,
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
        "sums": {"float32": _SIZE, "float64": _SIZE, "seed": FROM_0},
    }
    found = {name: within(columns, seed=config.seeds - 1) for name, columns in found.items()}
    said = {"logit": token, "logit_probability": _PROBABILITY, "tuned": token, "tuned_probability": _PROBABILITY}
    known = {"token": token, "next": token, "told": Column(int, low=0, high=1)}
    return found | {"tokens": {**layer, **position, **known, **said}}


def joined(config: Params) -> dict[str, Columns]:
    """The columns of the tables of all variants."""
    deepest = min(config.variants, key=lambda name: config.variants[name].depth_over)
    return {name: by_variant(columns, config.variants) for name, columns in tables(config, deepest).items()}


def of_variant(
    config: Params,
    history: pd.DataFrame,
    streams: pd.DataFrame,
    reading: pd.DataFrame,
    patches: pd.DataFrame,
    sums: pd.DataFrame,
) -> dict[str, Any]:
    """A variant's numbers for metrics.json, over seeds {mean, std, min, max, seeds}.

    Args:
        config: Parameters.
        history: Its rows of history.csv.
        streams: Those of streams.csv.
        reading: Those of reading.csv.
        patches: Those of patches.csv.
        sums: Those of sums.csv.

    Returns:
        ``lost``, the share of seeds that diverged; ``accuracy`` at the end, of the others; ``best``, the best one;
        ``solved``, the share of seeds whose accuracy has reached SOLVED, and ``solved_at``, the step at which they had.
        At start and end of the training: ``norm_growth``, ||x_L|| / ||x_0||; ``power_added``, its square less 1, and
        ``power_of_one``, that over the number of sublayers; ``change``, the mean over sublayers of what each changes in
        the stream, over the stream;
        ``gradient_ratio``, ||dLoss/dx_0|| / ||dLoss/dx_L||; ``cosine`` between positions of the last stream,
        ``first_cosine`` of the first. ``logit_lens_middle``, ``tuned_lens_middle``: KL of the lens behind half of the
        sublayers. ``tuned_lens_reads``: the share of the sublayers from which on a tuned lens is less than 0.5 nats
        from the network, and ``logit_lens_there``, KL of the logit lens at that place. ``source_half`` and
        ``query_half``: the share of the sublayers up to which patches at the positions where the answer stood, summed,
        bring half of it back, and from which one at the last position does; ``moved``, the latter less the former;
        ``best_position``: the largest share of the answer that a patch at one position brings back, a mean over layers.
        ``whole_layer_error``: the largest distance from 1 of what whole layers bring back. Where sublayers add to a
        stream, of what they and the embedding give to the logit of the right token: ``direct_of_last_quarter``, the
        share of the last quarter of the sublayers, ``direct_least``, the smallest share of one, whatever its sign, and
        ``direct_most``, the largest; ``sum_error_float32`` and ``sum_error_float64``, the largest distance of the
        logits from the sum of what all parts give.
    """
    epochs = config.variants[str(history["variant"].iloc[0])].steps // config.train.every
    solved = history[history["val_accuracy"] >= SOLVED].groupby("seed")["epoch"].min()
    by_seed = history.groupby("seed")["val_accuracy"]
    ends = history[history["epoch"] == epochs].set_index("seed")["val_accuracy"]
    depth = int(streams["layer"].max())
    found: dict[str, Any] = {
        "lost": 1 - len(ends) / config.seeds,
        "accuracy": over_seeds(ends),
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
            f"power_of_one_{moment}": over_seeds((growth**2 - 1) / depth),
            f"change_{moment}": over_seeds(own.groupby("seed")["change"].mean()),
            f"gradient_ratio_{moment}": over_seeds(first["gradient"] / last["gradient"].where(last["gradient"] > 0)),
            f"cosine_{moment}": over_seeds(last["cosine"]),
            f"first_cosine_{moment}": over_seeds(first["cosine"]),
        }
    middle = reading[reading["layer"] == depth // 2]
    found |= {f"{name}_lens_middle": over_seeds(middle[name]) for name in ("logit", "tuned")}
    read = reading[reading["tuned"] < _READ].sort_values("layer").groupby("seed").first()
    found |= {"tuned_lens_reads": over_seeds(read["layer"] / depth), "logit_lens_there": over_seeds(read["logit"])}
    about = config.sequences
    stood = list(range(about.positions - about.longest, -1, -about.longest))
    half = {}
    for name, places, pick in (("source", stood, "max"), ("query", [about.positions - 1], "min")):
        back = patches[patches["position"].isin(places)].groupby(["seed", "layer"], as_index=False)["recovered"].sum()
        half[name] = back[back["recovered"] >= 0.5].groupby("seed")["layer"].agg(pick) / depth
        found[f"{name}_half"] = over_seeds(half[name])
    found["moved"] = over_seeds((half["query"] - half["source"]).dropna())
    best = patches.groupby(["seed", "layer"])["recovered"].max()
    found["best_position"] = over_seeds(best.groupby("seed").mean())
    found["whole_layer_error"] = over_seeds((reading["whole"] - 1).abs().groupby(reading["seed"]).max())
    if not reading["direct"].isna().any():
        parts = reading.set_index(["seed", "layer"])["direct"]
        shares = (parts / parts.groupby("seed").sum()).drop(0, level="layer")
        late = shares[shares.index.get_level_values("layer") > depth - depth / 4]
        found |= {
            "direct_of_last_quarter": over_seeds(late.groupby("seed").sum()),
            "direct_least": over_seeds(shares.abs().groupby("seed").min()),
            "direct_most": over_seeds(shares.groupby("seed").max()),
        }
        found |= {f"sum_error_{of}": over_seeds(sums.set_index("seed")[of]) for of in ("float32", "float64")}
    return found | {"seeds": config.seeds}
