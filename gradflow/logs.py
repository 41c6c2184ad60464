"""What a training leaves beside the weights: three Parquet tables and a JSON of facts, for one variant."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gradflow.probe import COLUMNS
from gradflow.training import Record
from gradflow.writing import replacing, write_json


def write_grad_norms(path: Path, record: Record) -> None:
    """Columns seed, epoch, step (both from 1), layer (0 = stem .. depth + 1 = head), grad_norm.

    A row a seed, step and layer, as long as the seed's loss and gradient are finite.
    """
    norms = record.grad_norm.cpu().numpy()
    step, seed = np.nonzero(record.valid.cpu().numpy())
    order = np.lexsort((step, seed))
    step, seed = step[order], seed[order]
    layers = norms.shape[2]
    table = pa.table(
        {
            "seed": np.repeat(seed.astype(np.int32), layers),
            "epoch": np.repeat((step // record.steps_per_epoch + 1).astype(np.int32), layers),
            "step": np.repeat((step + 1).astype(np.int32), layers),
            "layer": np.tile(np.arange(layers, dtype=np.int32), len(step)),
            "grad_norm": norms[step, seed].ravel(),
        }
    )
    _write(path, table)


def write_history(path: Path, record: Record) -> None:
    """Columns seed, epoch (from 1), train_loss (mean over the epoch's steps), val_loss, val_accuracy."""
    history = record.history.cpu().numpy()
    seed, epoch = np.nonzero(np.isfinite(history).all(2).T)
    values = history[epoch, seed]
    columns = {"seed": seed.astype(np.int32), "epoch": (epoch + 1).astype(np.int32)}
    names = ("train_loss", "val_loss", "val_accuracy")
    _write(path, pa.table(columns | {name: values[:, i] for i, name in enumerate(names)}))


def write_probes(path: Path, record: Record) -> None:
    """Columns seed, epoch (0 = before the first step), layer (1..depth) and those of the probe."""
    epochs = np.array(list(record.probes), dtype=np.int32)
    probes = np.stack([record.probes[epoch].cpu().numpy() for epoch in epochs.tolist()])
    seed, index = np.nonzero(np.isfinite(probes[:, :, 0, 0]).T)
    values = probes[index, seed]
    depth = values.shape[1]
    columns = {
        "seed": np.repeat(seed.astype(np.int32), depth),
        "epoch": np.repeat(epochs[index], depth),
        "layer": np.tile(np.arange(1, depth + 1, dtype=np.int32), len(seed)),
    }
    arrays = {name: values[:, :, i].ravel() for i, name in enumerate(COLUMNS)}
    ratio = pa.array(arrays.pop("branch_ratio"), from_pandas=True)  # nan, a block without a skip, becomes a gap
    _write(path, pa.table(columns | arrays | {"branch_ratio": ratio}))


def write_facts(path: Path, record: Record, config: dict[str, Any]) -> None:
    """The configuration of the training, and where and when seeds diverged."""
    diverged = [{"seed": seed, "epoch": epoch, "step": step} for seed, (epoch, step) in sorted(record.diverged.items())]
    write_json(path, config | {"diverged": diverged})


def _write(path: Path, table: pa.Table) -> None:
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")
