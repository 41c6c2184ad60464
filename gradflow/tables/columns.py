"""The columns of a table, and a check of their content."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradflow.guards import manifest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        kind: int, float or str.
        low: The smallest number that may stand there.
        high: The largest one.
        words: The texts that may stand there; None: any.
        gaps: Whether a number may be missing.
        key: Whether it tells, with the other keys, one row from another.
    """

    kind: type = float
    low: float = -math.inf
    high: float = math.inf
    words: Collection[str] | None = None
    gaps: bool = False
    key: bool = False


Columns = Mapping[str, Column]

NAME = Column(str)
FROM_0 = Column(int, low=0, key=True)
FROM_1 = Column(int, low=1, key=True)
NUMBER = Column()
SIZE = Column(low=0)
SHARE = Column(low=0, high=1)


def within(columns: Columns, **last: int) -> Columns:
    """The same columns with the largest number that some may hold."""
    return {**columns, **{name: replace(columns[name], high=high) for name, high in last.items()}}


def by_variant(columns: Columns, variants: Collection[str] | None = None) -> Columns:
    """The columns of a table that joins those of several variants."""
    return {"variant": replace(NAME, key=True, words=variants), **columns}


def check(path: Path, table: "pd.DataFrame", columns: Columns) -> None:
    """Check that a table has exactly these columns, and in them what may stand there.

    Raises:
        RunError: It has not; names the file and the column.
    """
    if list(table.columns) != list(columns):
        raise manifest.unusable(path, f"must have the columns {', '.join(columns)}")
    for name, column in columns.items():
        if fault := _fault(table[name], column):
            raise manifest.unusable(path, f"column {name} {fault}")
    if table.duplicated([name for name, column in columns.items() if column.key]).any():
        raise manifest.unusable(path, "has a row twice")


def _fault(values: "pd.Series[float]", column: Column) -> str:
    """What is wrong with a column, in words."""
    if column.words is not None and not set(values) <= set(column.words):
        return f"must hold {', '.join(column.words)}"
    if column.kind is str:
        return ""
    if values.dtype.kind != np.dtype(column.kind).kind:
        return f"must hold {column.kind.__name__}s"
    numbers = values.dropna() if column.gaps else values
    if not np.isfinite(numbers).all():
        return "must hold finite numbers"
    return "" if numbers.between(column.low, column.high).all() else f"must hold {column.low:g} to {column.high:g}"
