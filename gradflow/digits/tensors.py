"""Digits as networks read them. A convolution looks at the same rows as ``images.view(-1, 1, 8, 8)``."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gradflow.digits import dataset

if TYPE_CHECKING:  # who reads digits needs no trainer
    from gradflow.training.rows import Labelled

_CPU = torch.device("cpu")


def labelled(path: Path, where: torch.device = _CPU) -> "Labelled":
    """Images (rows, 64) float32 and labels (rows,) int64 of a file, see :func:`gradflow.digits.dataset.read`."""
    images, labels = dataset.read(path)
    return torch.tensor(images, device=where), torch.tensor(labels, device=where)
