"""The numbers of the perceptrons, from their tables."""

from typing import Any

import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, FROM_1, SHARE, SIZE, Column, Columns, within
from studies.streams.twin.params import Twin

_GAPS = Column(gaps=True)
_DISTANCE = Column(low=-1e-6, gaps=True)  # 0 but for rounding
_SHARE = Column(low=0, high=1, gaps=True)


def tables(config: Twin) -> dict[str, Columns]:
    """The columns of the tables of one variant, by name."""
    found: dict[str, Columns] = {
        "history": {"seed": FROM_0, "epoch": FROM_1, "train_loss": SIZE, "val_loss": SIZE, "val_accuracy": SHARE},
        "layers": {
            **within({"layer": FROM_0}, layer=config.depth),
            **{"logit": _DISTANCE, "tuned": _DISTANCE, "own": _SHARE, "next": _SHARE, "left_out": _SHARE},
            **{"recovered": _GAPS, "seed": FROM_0},
        },
    }
    return {name: within(columns, seed=config.seeds - 1) for name, columns in found.items()}


def of_variant(config: Twin, history: pd.DataFrame, layers: pd.DataFrame) -> dict[str, Any]:
    """A variant's numbers for metrics.json, over seeds {mean, std, min, max, seeds}.

    Args:
        config: Parameters.
        history: Its rows of twin_history.csv.
        layers: Those of twin_layers.csv.

    Returns:
        ``accuracy`` after the training; ``logit_lens_middle``, ``tuned_lens_middle``: KL of the lens on the stream
        behind half of the blocks; ``probe_own``, the mean over layers of the accuracy of a probe on its own stream;
        ``probe_next``, likewise on the next stream, with ``_worst`` and ``_best``, the smallest and the largest one;
        ``left_out``, the mean over blocks of the accuracy without one, with ``_worst`` and ``_best``;
        ``whole_layer_error``, the largest distance from 1 of what whole layers bring back.
    """
    by_seed = layers.groupby("seed")
    middle = layers[layers["layer"] == config.depth // 2]
    found: dict[str, Any] = {
        "accuracy": over_seeds(history.sort_values("epoch").groupby("seed")["val_accuracy"].last()),
        "logit_lens_middle": over_seeds(middle["logit"]),
        "tuned_lens_middle": over_seeds(middle["tuned"]),
        "probe_own": over_seeds(by_seed["own"].mean()),
    }
    for name, column in (("probe_next", "next"), ("left_out", "left_out")):
        found |= {
            name: over_seeds(by_seed[column].mean()),
            f"{name}_worst": over_seeds(by_seed[column].min()),
            f"{name}_best": over_seeds(by_seed[column].max()),
        }
    found["whole_layer_error"] = over_seeds((layers["recovered"] - 1).abs().groupby(layers["seed"]).max())
    return found | {"seeds": config.seeds}
