"""The table that goes from stage to stage: 64 pixels, row by row of the image, and the digit."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gradflow.files import parquet
from gradflow.guards import manifest
from gradflow.params.digits import PIXELS

CLASSES = 10
Images = NDArray[np.float32]
Labels = NDArray[np.int64]

_PIXEL = pa.field("pixel", pa.float32(), nullable=False)
_SCHEMA = pa.schema(
    [
        pa.field("pixels", pa.list_(_PIXEL, PIXELS), nullable=False),
        pa.field("label", pa.int64(), nullable=False),
    ]
)


def write(path: Path, images: Images, labels: Labels) -> None:
    """Write images (rows, 64) and labels (rows,); the same rows give the same bytes."""
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(images.ravel()), type=_SCHEMA.field("pixels").type)
    parquet.write(path, pa.table([pixels, pa.array(labels)], schema=_SCHEMA))


def read(path: Path) -> tuple[Images, Labels]:
    """Read what :func:`write` wrote: images (rows, 64) and labels (rows,).

    Raises:
        RunError: The file is missing, damaged or holds something else.
    """
    table = parquet.read(path)
    if not table.schema.equals(_SCHEMA):
        raise manifest.unusable(path, f"must have the columns pixels, of {PIXELS} numbers, and label")
    images = table["pixels"].combine_chunks().flatten().to_numpy().reshape(-1, PIXELS)
    labels = table["label"].to_numpy()
    if len(images) == 0:
        raise manifest.unusable(path, "must have rows, got none")
    if not np.isfinite(images).all():
        raise manifest.unusable(path, "column pixels: must hold finite numbers")
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise manifest.unusable(path, f"column label: must hold 0 to {CLASSES - 1}")
    return images, labels
