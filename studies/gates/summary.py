"""The numbers of the gates study, from its tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, SHARE, SIZE, Column, Columns, within
from studies.gates.params import Params

_GAP_SHARE = Column(low=0, high=1, gaps=True)
_RANK = Column(low=-1.000001, high=1.000001, gaps=True)
_SIZE_OR_GAP = Column(low=0, gaps=True)
MOMENTS = ("start", "end")
_GRADIENTS = ("stream_ratio", "weight_ratio", "weight_span")
_ANSWERS = ("nearest_row", "nearest_arc", "confidence", "gate")
_RANKS = ("distance", "beyond_radius")


def tables(config: Params) -> dict[str, Columns]:
    """The columns of the tables of one variant."""
    last = {"seed": config.seeds - 1}
    shift = Column(str, words=config.shifts.names(), key=True)
    gradients = {f"{name}_{moment}": _SIZE_OR_GAP for moment in MOMENTS for name in _GRADIENTS}
    ranks = {f"{name}_{moment}": _RANK for moment in MOMENTS for name in _RANKS}
    answers = {
        "accuracy": _GAP_SHARE,
        "nearest_row": SHARE,
        "nearest_arc": SHARE,
        "reference_row": _GAP_SHARE,
        "confidence": SHARE,
        "gate": _GAP_SHARE,
    }
    own: dict[str, Columns] = {
        "seeds": {
            "seed": FROM_0,
            **gradients,
            "stream_ratio_predicted": _SIZE_OR_GAP,
            "diverged": Column(low=1, gaps=True),
            **ranks,
        },
        "shifts": {"seed": FROM_0, "shift": shift, **answers},
        "norms": {"seed": FROM_0, "shift": shift, "layer": FROM_0, "norm": SIZE},
        "plane": {
            "moment": Column(str, words=MOMENTS, key=True),
            "seed": FROM_0,
            "row": FROM_0,
            "column": FROM_0,
            "probability": SHARE,
            "gate": SHARE,
        },
    }
    return {name: within(columns, **last) for name, columns in own.items()}


def of_variant(seeds: pd.DataFrame, shifts: pd.DataFrame, norms: pd.DataFrame) -> dict[str, Any]:
    """Numbers of a variant for metrics.json.

    Returns:
        Over seeds {mean, std, min, max, seeds}: ``accuracy``; for each shift S with labels ``accuracy_S``, for each
        one the agreement with the references, ``nearest_row_S`` and ``nearest_arc_S``, ``confidence_S`` and ``gate_S``;
        the columns of gradients and ranks; ``norm_span_S``, the largest over the smallest norm of the stream by layer.
        A number: ``stream_ratio_start_predicted``, None where theory has no line.
    """
    alive = seeds[seeds["diverged"].isna()]
    expected = seeds["stream_ratio_predicted"].iloc[0]
    found: dict[str, Any] = {}
    for shift, own in shifts.groupby("shift", sort=False):
        named = {f"{column}_{shift}": over_seeds(own[column]) for column in ("accuracy", *_ANSWERS)}
        found |= {name: spread for name, spread in named.items() if spread["seeds"]}
    if "accuracy_validation" in found:
        found = {"accuracy": found.pop("accuracy_validation")} | found
    for name in (*_GRADIENTS, *_RANKS):
        for moment in MOMENTS:
            spread = over_seeds((seeds if moment == "start" else alive)[f"{name}_{moment}"])
            if spread["seeds"] or name in _GRADIENTS:
                found[f"{name}_{moment}"] = spread
    for shift, own in norms.groupby("shift", sort=False):
        by_seed = own.groupby("seed")["norm"]
        found[f"norm_span_{shift}"] = over_seeds(by_seed.max() / by_seed.min())
    return found | {"stream_ratio_start_predicted": None if pd.isna(expected) else float(expected)}


def against(shifts: pd.DataFrame, first: pd.DataFrame) -> dict[str, Any]:
    """``SHIFT_gain``: accuracy on a shift minus that of the first variant, seed by seed, over seeds."""
    own, other = (table.set_index(["shift", "seed"])["accuracy"] for table in (shifts, first))
    gains = (own - other).dropna()
    names = [shift for shift in dict.fromkeys(shifts["shift"]) if shift in gains.index]
    return {f"{shift}_gain": over_seeds(gains[shift]) for shift in names}


def references(shifts: pd.DataFrame) -> dict[str, float]:
    """Share of shifted rows whose nearest train row has their label, by shift; the same for all variants."""
    known = shifts.dropna(subset="reference_row").drop_duplicates("shift")
    return dict(zip(known["shift"], known["reference_row"], strict=True))
