"""Gradients of gated networks before and after training, beside theory."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import cross_entropy

from gradflow import theory
from gradflow.instruments import gradient_norms, trace
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.training.rows import Labelled


def gradients(moments: Mapping[str, Network], about: Mapping[str, Any], rows: Labelled, count: int) -> pd.DataFrame:
    """Measure gradients of the mean loss on the first rows, before training (``start``) and after it (``end``).

    Returns:
        Columns seed; for each moment M stream_ratio_M, ||dLoss/dx_0|| / ||dLoss/dx_depth||, weight_ratio_M, the norm of
        dLoss/dW of the first block (all its maps) over that of the last one, and weight_span_M, the largest over the
        smallest of them; and stream_ratio_predicted before training, nan where theory has no line.
    """
    points, labels = (tensor[:count] for tensor in rows)
    found: dict[str, Any] = {}
    for moment, network in moments.items():

        def losses(last: Tensor, network: Network = network) -> Tensor:
            return torch.stack([cross_entropy(own, labels) for own in network.head(last)])

        traced = trace.record(network.blocks, network.stem(training.stacked(points, network)), losses)
        back = vector_norm(traced.g[[0, -1]], dim=(2, 3))
        column = gradient_norms.COLUMNS.index("weight_grad_norm")
        of_weights = gradient_norms.measure(traced)[..., column]
        found |= {
            f"stream_ratio_{moment}": _finite(back[0] / back[1]),
            f"weight_ratio_{moment}": _finite(of_weights[:, 0] / of_weights[:, -1]),
            f"weight_span_{moment}": _finite(of_weights.amax(1) / of_weights.amin(1)),
        }
    table = pd.DataFrame(found)
    table.insert(0, "seed", range(len(table)))
    return table.assign(stream_ratio_predicted=predicted(about))


def _finite(values: Tensor) -> Tensor:
    """The numbers, nan for a division by 0."""
    return values.where(values.isfinite(), torch.nan)


def predicted(about: Mapping[str, Any]) -> float:
    """||dLoss/dx_0|| / ||dLoss/dx_depth|| of a gated network before training: f^depth; nan for other blocks.

    A block ``(1 - g) x + g relu(W x + b)`` passes on f = sqrt((1 - g)^2 + g^2 chi) of the gradient, as far as what
    comes through the branch is unrelated to what comes past it; g = sigmoid(bias). Gates that read the stream are taken
    as if they did not.
    """
    if about["block"] not in ("gated", "highway"):
        return math.nan
    g = 1 / (1 + math.exp(-about["settings"]["bias"]))
    chi = theory.Branch.drawn(about["init"], about["depth"], about["width"], skip=False).chi
    return float(math.hypot(1 - g, g * math.sqrt(chi)) ** about["depth"])
