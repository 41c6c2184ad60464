"""The table that goes from stage to stage: two features and a label, as Parquet with columns x1, x2, label."""

import re
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gradflow.files import parquet
from gradflow.files.documents import Document
from gradflow.guards import manifest
from gradflow.guards.errors import InputError

Points = NDArray[np.float64]
Labels = NDArray[np.int64]
Extent = tuple[float, float, float, float]  # left, right, lower and upper edge

LARGEST = 1e30  # so that squares can be summed, and float32 holds what is scaled
MOST_ROWS = 10_000_000
_LONGEST_NAME = 200
_LABEL_NAMES = ("label", "target", "class", "y")  # the first of them that there is
_INDEX = re.compile(r"(Unnamed: 0)?|__index_level_0__")  # what pandas calls the index that it writes: "" in CSV
_SCHEMA = pa.schema({"x1": pa.float64(), "x2": pa.float64(), "label": pa.int64()})


class Source(Document):
    """Where the rows of a table come from, how many there are and of each class, and what x1 and x2 were called."""

    source: Literal["sklearn", "hub", "file"]
    path: str | None
    revision: str | None
    rows: int
    classes: dict[str, int]
    features: list[str]


def standardise(table: pa.Table, where: str) -> tuple[Points, Labels, list[str], list[str]]:
    """Check somebody's table and bring it into this project's form.

    Args:
        table: Two numeric columns and a label column, in any order; the label is the column called
            label, target, class or, unless another is called x, y; else it is the last one. An index that pandas
            has written beside them is left out.
        where: What to name in an error, e.g. the file.

    Returns:
        Points (rows, 2), labels (rows,) in {0, 1}, the two original label values in that order, and the original
        names of the features.

    Raises:
        InputError: Wrong number or names of columns, text or a gap where a number belongs, or not two classes.
    """
    table = without_index(table)
    if table.num_columns != 3:
        raise InputError(where, f"must have two feature columns and a label column, got {_listed(table.column_names)}")
    if len(set(table.column_names)) != 3:
        raise InputError(where, f"must have three different column names, got {_listed(table.column_names)}")
    if (longest := max(map(len, table.column_names))) > _LONGEST_NAME:
        raise InputError(where, f"must have column names of up to {_LONGEST_NAME} characters, got one of {longest}")
    if table.num_rows == 0:
        raise InputError(where, "must have rows, got none")
    label = _label_name(table.column_names)
    features = [name for name in table.column_names if name != label]
    points = np.stack([_numbers(table[name], f"{where}: column {name}") for name in features], axis=1)
    labels, values = _classes(table[label], f"{where}: column {label}")
    return points, labels, values, features


def without_index(table: pa.Table) -> pa.Table:
    """The columns of somebody's table but for an index of pandas, under their names without spaces around them."""
    names = [name.strip() for name in table.column_names]
    index = next((place for place, name in enumerate(names) if _INDEX.fullmatch(name)), None)
    table = table.rename_columns(names)
    return table if index is None else table.remove_column(index)


def _label_name(columns: list[str]) -> str:
    by_name = {column.lower(): column for column in columns}
    named = (by_name[name] for name in _LABEL_NAMES if name in by_name and not (name == "y" and "x" in by_name))
    return next(named, columns[-1])


def _numbers(column: pa.ChunkedArray, where: str) -> Points:
    if column.null_count:
        raise InputError(where, f"must have no gaps, got one in row {_first(pc.is_null(column))}")
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        raise InputError(where, f"must hold numbers, got {kind}{_first_text(column)}")
    numbers = column.cast(pa.float64(), safe=False).to_numpy()
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputError(where, f"must hold finite numbers, got {numbers[row]} in row {row + 1}")
    if np.abs(numbers).max() > LARGEST:
        raise InputError(where, f"must hold numbers up to {LARGEST:g}, got {numbers[np.abs(numbers).argmax()]:g}")
    return np.asarray(numbers, dtype=np.float64)


def _classes(column: pa.ChunkedArray, where: str) -> tuple[Labels, list[str]]:
    gaps = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
    if pc.any(gaps).as_py():
        raise InputError(where, f"must have no gaps, got one in row {_first(gaps)}")
    if pa.types.is_nested(column.type):
        raise InputError(where, f"must hold one value a row, got {column.type}")
    values = sorted(pc.unique(column).to_pylist(), key=lambda value: (str(type(value)), value))
    if len(values) != 2:
        raise InputError(where, f"must hold two classes, got {len(values)}: {_listed(values)}")
    longest = max(len(str(value)) for value in values)
    if longest > _LONGEST_NAME:
        raise InputError(where, f"must hold labels of up to {_LONGEST_NAME} characters, got one of {longest}")
    return pc.equal(column, pa.scalar(values[1], column.type)).to_numpy().astype(np.int64), [str(v) for v in values]


def _first(mask: pa.ChunkedArray) -> int:
    return int(pc.index(mask, True).as_py()) + 1


def _first_text(column: pa.ChunkedArray) -> str:
    """Where the first text stands in a column that should be numbers."""
    for row, value in enumerate((scalar.as_py() for scalar in column), start=1):  # not all of a packed one at once
        try:
            float(value)
        except (TypeError, ValueError):
            return f", {str(value)[:40]!r} in row {row}"
    return ""


def _listed(values: list[object]) -> str:
    shown = ", ".join(str(value)[:40] for value in values[:6])
    return f"{shown}, ..." if len(values) > 6 else shown


def write(path: Path, points: Points, labels: Labels) -> None:
    """Write points (rows, 2) and labels (rows,); the same rows give the same bytes."""
    parquet.write(path, pa.table({"x1": points[:, 0], "x2": points[:, 1], "label": labels}, schema=_SCHEMA))


def read(path: Path) -> tuple[Points, Labels]:
    """Read what :func:`write` wrote: points (rows, 2) and labels (rows,).

    Raises:
        RunError: The file is missing, damaged or holds something else.
    """
    table = parquet.read(path)
    if not table.schema.equals(_SCHEMA):
        raise manifest.unusable(path, "must have the columns x1, x2 and label")
    try:
        points, labels, values, _ = standardise(table, "")
    except InputError as error:
        raise manifest.unusable(path, error.message.removeprefix(": ")) from None
    if values != ["0", "1"]:
        raise manifest.unusable(path, f"column label: must hold 0 and 1, got {_listed([*values])}")
    return points, labels


def around(points: NDArray[np.float64], margin: float = 0.08) -> Extent:
    """Left, right, lower and upper edge around points (rows, 2), with a margin as a share of the range."""
    low, high = points.min(0), points.max(0)
    room = margin * np.maximum(high - low, 1e-6)
    (left, lower), (right, upper) = low - room, high + room
    return float(left), float(right), float(lower), float(upper)
