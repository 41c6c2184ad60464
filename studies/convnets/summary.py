"""The numbers of one network of the study of convolutional networks, from its tables."""

from typing import Any

import numpy as np
import pandas as pd

from gradflow.analysis.spread import over_seeds
from gradflow.tables.columns import FROM_0, SHARE, Column, Columns, within
from gradflow.tables.logs import GRAD_NORMS, HISTORY
from studies.convnets.params import Params


def tables(config: Params) -> dict[str, Columns]:
    """The columns of the tables of one variant."""
    last = {"seed": config.seeds - 1}
    return {
        "seeds": within(
            {
                "seed": FROM_0,
                "multiply_adds": Column(int, low=1),
                "refused": Column(low=0, high=1, gaps=True),
                "diverged": Column(low=1, gaps=True),
                "train_accuracy": SHARE,
            },
            **last,
        ),
        "history": within(HISTORY, **last),
        "gradients": within(GRAD_NORMS, **last),
    }


def of_variant(seeds: pd.DataFrame, history: pd.DataFrame, gradients: pd.DataFrame, *, blocks: int) -> dict[str, Any]:
    """A variant's numbers for metrics.json; {mean, std, min, max, seeds} over seeds that did not diverge.

    Args:
        seeds: Its rows of seeds.csv.
        history: Those of history.csv.
        gradients: Those of gradients.csv, all of the first step.
        blocks: How many the network has.

    Returns:
        ``multiply_adds`` of an image; ``refused``, the share of the blocks that change the number of channels in which
        PyTorch refuses to add the stream, subsampled but not projected or padded, to the branch, None where there is no
        such block; after the last epoch ``train_loss``, a mean over its steps, ``train_accuracy``, ``val_loss`` and
        ``val_accuracy``; ``lost``, the share of seeds that diverged; and, before training, of seeds whose first
        gradient is finite ``gradient_ratio``, ||dLoss/dW|| of the layer where it is largest over that where it is
        smallest, and ``gradient_first_over_last``, that of the first block over that of the last.
    """
    survived = seeds[seeds["diverged"].isna()].set_index("seed")
    last = history[history["seed"].isin(survived.index)].sort_values("epoch").groupby("seed").last()
    norms = gradients.groupby("seed")["grad_norm"]
    powers = gradients["grad_norm"].pow(2).groupby([gradients["layer"], gradients["seed"]]).sum()
    of_blocks = powers.unstack("layer").reindex(columns=range(1, blocks + 1))
    refused = seeds["refused"].iloc[0]
    return {
        "multiply_adds": int(seeds["multiply_adds"].iloc[0]),
        "refused": None if pd.isna(refused) else float(refused),
        "train_loss": over_seeds(last["train_loss"]),
        "train_accuracy": over_seeds(survived["train_accuracy"]),
        "val_loss": over_seeds(last["val_loss"]),
        "val_accuracy": over_seeds(last["val_accuracy"]),
        "lost": float(seeds["diverged"].notna().mean()),
        "gradient_ratio": over_seeds(ratios(norms.max(), norms.min())),
        "gradient_first_over_last": over_seeds(ratios(of_blocks[1], of_blocks[blocks]).pow(0.5)),
        "seeds": len(seeds),
    }


def ratios(numbers: pd.Series, others: pd.Series) -> pd.Series:
    """Numbers of seeds over others of the same seeds; nan where the others are 0."""
    found = numbers / others
    return found.where(np.isfinite(found))
