"""What trained networks make of shifted rows: answers, norms of the stream, and how far their gates open."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn, sigmoid
from torch.linalg import vector_norm

from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.tables.columns import FROM_0, NUMBER, SIZE, Column, Columns
from studies.gates.params import Params

Numbers = NDArray[np.float64]
SIDE = 60  # points along each edge of the plane


def columns(config: Params) -> Columns:
    """The columns of the shifted rows."""
    return {
        "shift": Column(str, words=config.shifts.names(), key=True),
        "row": FROM_0,
        "x1": NUMBER,
        "x2": NUMBER,
        "label": Column(low=0, high=1, gaps=True),
        "nearest_row": Column(int, low=0, high=1),
        "nearest_arc": Column(int, low=0, high=1),
        "distance": SIZE,
        "radius": SIZE,
    }


@torch.inference_mode()
def streams(network: Network, points: Tensor) -> list[Tensor]:
    """x_0 to x_depth of points (rows, 2): (seeds, rows, width) each."""
    found = [network.stem(training.stacked(points, network))]
    for block in network.blocks:
        found.append(block(found[-1]))
    return found


@torch.inference_mode()
def opening(network: Network, points: Tensor) -> Tensor | None:
    """The gate at each of the points (rows, 2), a mean over blocks and units: (seeds, rows); None: there are no gates.

    A gate is the sigmoid of what a block calls ``gate``, a linear map of its stream, or ``a``, numbers.
    """
    of_blocks = []
    for block, x in zip(network.blocks, streams(network, points), strict=False):
        gate, a = dict(block.named_children()).get("gate"), dict(block.named_parameters()).get("a")
        if isinstance(gate, nn.Module):
            of_blocks.append(sigmoid(gate(x)).double().mean(2))
        elif a is not None:
            of_blocks.append(sigmoid(a).double().mean(2).expand(*x.shape[:2]))
    return torch.stack(of_blocks).mean(0) if of_blocks else None


def reads_the_stream(network: Network) -> bool:
    """Whether the gates differ from input to input."""
    return any("gate" in dict(block.named_children()) for block in network.blocks)


@torch.inference_mode()
def answers(network: Network, rows: pd.DataFrame) -> pd.DataFrame:
    """Answers on each shift.

    Args:
        network: All seeds, trained.
        rows: From :func:`studies.gates.shifted.table`.

    Returns:
        Columns seed, shift; accuracy, the share of rows with the label of their moon (nan in a box); nearest_row and
        nearest_arc, the share of agreement with the references; reference_row, the share of rows whose nearest
        train row has their label (nan in a box); confidence, the mean probability of the class that is chosen; and
        gate, a mean over rows, blocks and units (nan without gates).
    """
    found = []
    for shift, own in rows.groupby("shift", sort=False):
        points = _points(own)
        probability, chosen = network(training.stacked(points, network)).softmax(2).max(2)
        gate = opening(network, points)
        agreement = {
            name: (chosen == torch.from_numpy(own[name].to_numpy(copy=True))).double().mean(1)
            for name in ("label", "nearest_row", "nearest_arc")
        }
        known = bool(own["label"].notna().all())
        seeds = len(chosen)
        columns = {
            "seed": range(seeds),
            "shift": shift,
            "accuracy": agreement["label"] if known else np.nan,
            "nearest_row": agreement["nearest_row"],
            "nearest_arc": agreement["nearest_arc"],
            "reference_row": float((own["nearest_row"] == own["label"]).mean()) if known else np.nan,
            "confidence": probability.double().mean(1),
            "gate": np.nan if gate is None else gate.mean(1),
        }
        found.append(pd.DataFrame(columns))
    return pd.concat(found, ignore_index=True)


@torch.inference_mode()
def norms(network: Network, rows: pd.DataFrame) -> pd.DataFrame:
    """Columns seed, shift, layer, norm: ||x_l||, a mean over the rows of a shift."""
    found = []
    for shift, own in rows.groupby("shift", sort=False):
        for layer, x in enumerate(streams(network, _points(own))):
            norm = vector_norm(x.double(), dim=2).mean(1)
            found.append(pd.DataFrame({"seed": range(len(norm)), "shift": shift, "layer": layer, "norm": norm}))
    return pd.concat(found, ignore_index=True)


def ranks(moments: Mapping[str, Network], far: pd.DataFrame) -> pd.DataFrame:
    """How gates go with the distance to the nearest train row, in Spearman's rank correlations on points of the box.

    Returns:
        Columns seed; for each moment M distance_M, the correlation of gate and distance, and beyond_radius_M, the same
        with the distance from the mean of the train rows partialled out. nan where gates do not read the stream.
    """
    found: dict[str, object] = {"seed": range(len(next(next(iter(moments.values())).parameters())))}
    for moment, network in moments.items():
        gates = opening(network, _points(far)) if reads_the_stream(network) else None
        pairs = [(np.nan, np.nan)] * len(next(network.parameters()))
        if gates is not None:
            pairs = [
                correlations(gate, *(far[name].to_numpy() for name in ("distance", "radius"))) for gate in gates.numpy()
            ]
        found[f"distance_{moment}"], found[f"beyond_radius_{moment}"] = zip(*pairs, strict=True)
    return pd.DataFrame(found)


def correlations(gate: Numbers, distance: Numbers, radius: Numbers) -> tuple[float, float]:
    """Spearman's correlation of gate and distance, and that with the radius partialled out.

    (r_gd - r_gr r_dr) / sqrt((1 - r_gr^2) (1 - r_dr^2)) with the rank correlations r.
    """
    matrix = spearmanr(np.column_stack([gate, distance, radius])).statistic
    gd, gr, dr = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    return float(gd), float((gd - gr * dr) / np.sqrt((1 - gr**2) * (1 - dr**2)))


@torch.inference_mode()
def plane(moments: Mapping[str, Network], half: float) -> pd.DataFrame:
    """Gates that read the stream, and the probability of the second class, at the points of a grid.

    Returns:
        Columns moment, seed, row, column, probability and gate, on SIDE x SIDE points from -half to half, row 0 the
        lowest; no rows where gates do not read the stream.
    """
    at = torch.linspace(-half, half, SIDE)
    x2, x1 = torch.meshgrid(at, at, indexing="ij")
    points = torch.stack([x1.flatten(), x2.flatten()], 1)
    row, column = np.divmod(np.arange(SIDE**2), SIDE)
    found = []
    for moment, network in moments.items():
        seeds = len(next(network.parameters())) if reads_the_stream(network) else 0
        gates = opening(network, points)
        probability = network(training.stacked(points, network)).softmax(2)[..., 1]
        for seed in range(seeds):
            assert gates is not None
            own = {"row": row, "column": column, "probability": probability[seed], "gate": gates[seed]}
            found.append(pd.DataFrame({"moment": moment, "seed": seed, **own}))
    empty = pd.DataFrame({"moment": [""], "seed": [0], "row": [0], "column": [0], "probability": [0.0], "gate": [0.0]})
    return pd.concat(found, ignore_index=True) if found else empty.iloc[:0]


def _points(rows: pd.DataFrame) -> Tensor:
    return torch.from_numpy(rows[["x1", "x2"]].to_numpy(copy=True)).float()
