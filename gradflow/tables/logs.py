"""What a training writes besides the weights: four Parquet tables and a JSON file of facts for each variant."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradflow.files import parquet
from gradflow.files.documents import Document
from gradflow.files.writing import write_json
from gradflow.tables.columns import FROM_0, FROM_1, NUMBER, SHARE, SIZE, Column

if TYPE_CHECKING:  # who reads the logs needs no PyTorch
    from gradflow.training.record import Record

MAP = Column(str, key=True)  # the name of a linear map
GRAD_NORMS = {"seed": FROM_0, "epoch": FROM_1, "step": FROM_1, "layer": FROM_0, "name": MAP, "grad_norm": SIZE}
HISTORY = {"seed": FROM_0, "epoch": FROM_1, "train_loss": SIZE, "val_loss": SIZE, "val_accuracy": SHARE}
PROBED = {
    "weight_grad_norm": SIZE,
    "delta_norm": SIZE,
    "z_mean": NUMBER,
    "z_std": SIZE,
    "x_mean": NUMBER,
    "x_std": SIZE,
    "dead_fraction": SHARE,
    "branch_ratio": replace(SIZE, gaps=True),
}
BOUNDARY = {"seed": FROM_0, "row": FROM_0, "column": FROM_0, "probability": SHARE}
PROBES = {"seed": FROM_0, "epoch": FROM_0, "layer": FROM_1, **PROBED}


class Divergence(Document):
    """Where a seed was lost; both count from 1."""

    seed: int
    epoch: int
    step: int


class Training(Document):
    """Length of a training."""

    epochs: int


class Facts(Document):
    """The configuration of a training, what it ran on, and which seeds diverged.

    ``theory``: ||dLoss/dW|| by block before training, relative to the last block; None where theory has no line.
    """

    depth: int
    seeds: int
    train: Training
    device: str
    threads: int
    versions: dict[str, str]
    theory: list[float] | None
    diverged: list[Divergence]


def write_grad_norms(path: Path, record: "Record") -> None:
    """Columns seed, epoch, step (both from 1), layer (0 = stem .. depth + 1 = head), name, grad_norm.

    A row a seed, step and linear map, as long as the seed's loss and gradient are finite.
    """
    norms = record.grad_norm.cpu().numpy()
    step, seed = np.nonzero(record.valid.cpu().numpy())
    order = np.lexsort((step, seed))
    step, seed = step[order], seed[order]
    maps, (layer, name) = len(record.maps), zip(*record.maps, strict=True)
    number = pa.array(np.tile(np.arange(maps, dtype=np.int16), len(step)))
    table = pa.table(
        {
            "seed": np.repeat(seed.astype(np.int32), maps),
            "epoch": np.repeat((step // record.steps_per_epoch + 1).astype(np.int32), maps),
            "step": np.repeat((step + 1).astype(np.int32), maps),
            "layer": np.tile(np.array(layer, dtype=np.int32), len(step)),
            "name": pa.DictionaryArray.from_arrays(number, pa.array(name)),
            "grad_norm": norms[step, seed].ravel(),
        }
    )
    parquet.write(path, table)


def write_history(path: Path, record: "Record") -> None:
    """Columns seed, epoch (from 1), train_loss (mean over the epoch's steps), val_loss, val_accuracy."""
    history = record.history.cpu().numpy()
    seed, epoch = np.nonzero(np.isfinite(history).all(2).T)
    values = history[epoch, seed]
    keys = {"seed": seed.astype(np.int32), "epoch": (epoch + 1).astype(np.int32)}
    names = ("train_loss", "val_loss", "val_accuracy")
    parquet.write(path, pa.table(keys | {name: values[:, i] for i, name in enumerate(names)}))


def write_probes(path: Path, record: "Record") -> None:
    """Columns seed, epoch (0 = before the first step), layer (1..depth) and those of the probe."""
    epochs = np.array(list(record.probes), dtype=np.int32)
    probes = np.stack([record.probes[epoch].cpu().numpy() for epoch in epochs.tolist()])
    seed, index = np.nonzero(np.isfinite(probes[:, :, 0, 0]).T)
    values = probes[index, seed]
    depth = values.shape[1]
    keys = {
        "seed": np.repeat(seed.astype(np.int32), depth),
        "epoch": np.repeat(epochs[index], depth),
        "layer": np.tile(np.arange(1, depth + 1, dtype=np.int32), len(seed)),
    }
    arrays = {name: values[:, :, i].ravel() for i, name in enumerate(PROBED)}
    ratio = pa.array(arrays.pop("branch_ratio"), from_pandas=True)  # nan, a block without a skip, becomes a gap
    parquet.write(path, pa.table(keys | arrays | {"branch_ratio": ratio}))


def write_boundary(path: Path, probabilities: NDArray[np.float32], seeds: Sequence[int]) -> None:
    """Columns seed, row, column, probability (of the second class): the network on a grid, row 0 the lowest.

    Args:
        path: The file.
        probabilities: (seeds, rows, columns).
        seeds: Their numbers.
    """
    _, rows, columns = probabilities.shape
    row, column = np.divmod(np.arange(rows * columns, dtype=np.int32), columns)
    table = {
        "seed": np.repeat(np.array(seeds, dtype=np.int32), rows * columns),
        "row": np.tile(row, len(seeds)),
        "column": np.tile(column, len(seeds)),
        "probability": probabilities.ravel(),
    }
    parquet.write(path, pa.table(table))


def write_facts(path: Path, record: "Record", config: dict[str, Any]) -> None:
    """The configuration of the training, and where and when seeds diverged."""
    diverged = [{"seed": seed, "epoch": epoch, "step": step} for seed, (epoch, step) in sorted(record.diverged.items())]
    write_json(path, config | {"diverged": diverged})
