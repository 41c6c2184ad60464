"""The accuracy of trained networks of all seeds, as a log."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from gradflow.files import parquet
from gradflow.instruments import lesions
from gradflow.moons import training
from gradflow.networks.mlp import Network
from gradflow.training.rows import Labelled


def write(path: Path, network: Network, diverged: Mapping[int, int], rows: Labelled) -> None:
    """Measure and write.

    Args:
        path: Where to: columns seed; diverged, the epoch, nan for seeds that did not; accuracy, nan for those that did.
        network: All seeds.
        diverged: Seed to epoch, of those that diverged.
        rows: Points and labels of the validation.
    """
    points, labels = rows
    right = lesions.accuracy(network, training.stacked(points, network), labels, range(len(network.blocks)))
    table = pd.DataFrame({"seed": range(len(right)), "accuracy": right.numpy()})
    table.insert(1, "diverged", table["seed"].map(diverged).astype(float))
    table["accuracy"] = table["accuracy"].where(table["diverged"].isna())
    parquet.write(path, pa.Table.from_pandas(table, preserve_index=False))
