"""What a policy does on validation rows, beside the whole network."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from torch import Tensor

from gradflow.networks.mlp import Network
from studies.routing.routers import early_exit
from studies.routing.routers.controller import divergence
from studies.routing.routers.given import Given
from studies.routing.routers.router import Router, masked, work

_HALF = torch.tensor(0.5, dtype=torch.float64)


@torch.inference_mode()
def policy(
    network: Network,
    whole: Tensor,
    points: Tensor,
    labels: Tensor,
    router: Router,
    threshold: Tensor,
    draws: Tensor,
    alive: Sequence[int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure one policy at one threshold.

    Args:
        network: What is routed.
        whole: (seeds, rows, 2), logits of the whole network that it is compared with.
        points: (seeds, rows, 2).
        labels: (rows,).
        router: The policy.
        threshold: (seeds,).
        draws: (draws, rows), orders of the rows: whose choices another row is given.
        alive: The seeds that have not diverged.

    Returns:
        A row a seed: seed; share of blocks that ran; work, multiply-adds over those of the whole network; accuracy;
        lost, what of the accuracy of the whole network is gone; agreement, the share of rows in the class that the
        whole network chooses; kl, KL(whole || routed) in nats, a mean over rows; correlation, Spearman's, of blocks
        run for a row and the margin of the whole network there (nan where all rows run as many); and shuffled, the
        accuracy when rows run the blocks that were chosen for others.

        And a row a validation row: row, blocks (run for it) and right (share), means over the seeds that are alive; no
        rows where none is.
    """
    found = masked(network, points, router, threshold)
    right = found.logits.argmax(2) == labels
    blocks, margins = found.ran.sum(0), early_exit.margin(whole)
    shuffled = torch.stack(
        [
            (
                masked(network, points, Given(found.ran[:, :, order]), _HALF.expand(len(points))).logits.argmax(2)
                == labels
            )
            for order in draws
        ]
    )
    accuracy = right.double().mean(1)
    numbers = {
        "seed": range(len(points)),
        "share": found.ran.double().mean((0, 2)),
        "work": work(network, router, found.ran),
        "accuracy": accuracy,
        "lost": (whole.argmax(2) == labels).double().mean(1) - accuracy,
        "agreement": (found.logits.argmax(2) == whole.argmax(2)).double().mean(1),
        "kl": divergence(whole.double(), found.logits.double()).mean(1),
        "correlation": [spearman(*own) for own in zip(blocks.numpy(), margins.numpy(), strict=True)],
        "shuffled": shuffled.double().mean((0, 2)),
    }
    means = {name: part[alive].double().mean(0) for name, part in (("blocks", blocks), ("right", right))}
    rows = pd.DataFrame({"row": range(len(labels)), **means})
    return pd.DataFrame(numbers), rows if len(alive) else rows.iloc[:0]


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; nan where one of the two is the same everywhere.

    Correlated exactly: ranks are halves of whole numbers, so sums of their products have no rounding to depend on.
    """
    one, other = (2 * rankdata(values) - len(values) - 1 for values in (first, second))
    size = float((one @ one) * (other @ other))
    return float(one @ other) / size**0.5 if size else float("nan")
