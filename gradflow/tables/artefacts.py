"""Artefacts: tables written in one form, and read with one line for what is missing or damaged."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pandas as pd
import pyarrow as pa

from gradflow.files import parquet
from gradflow.files.writing import replacing
from gradflow.guards import manifest
from gradflow.tables.columns import Columns, check


def read_table(path: Path, holds: Columns) -> pd.DataFrame:
    """A Parquet or CSV table.

    Raises:
        RunError: It is missing or damaged, or holds something else.
    """
    try:
        table = parquet.read(path).to_pandas() if path.suffix == ".parquet" else _read_csv(path, holds)
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:  # a number of 20 digits overflows
        raise manifest.unusable(path, error) from None
    check(path, table, holds)
    return table


def joined(folder: Path, ending: str, holds: Mapping[str, Columns]) -> pd.DataFrame:
    """One table of the variants' own, in their order, with the variant in the first column.

    Args:
        folder: Where the files lie.
        ending: Of their names, after that of the variant.
        holds: Variant to the columns of its table.

    Raises:
        RunError: One is missing or damaged, or holds something else.
    """
    tables = {variant: read_table(folder / f"{variant}{ending}", columns) for variant, columns in holds.items()}
    return pd.concat(tables, names=["variant"]).reset_index(level="variant").reset_index(drop=True)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table with nine digits, gaps for nan."""
    with replacing(path) as file:
        table.to_csv(file, mode="wb", index=False, float_format="%.9g", lineterminator="\n")


def _read_csv(path: Path, holds: Columns) -> pd.DataFrame:
    manifest.check(path)
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        raise ValueError("its last line is cut off")
    kinds = {name: column.kind for name, column in holds.items()}
    return pd.read_csv(BytesIO(content), dtype=kinds, keep_default_na=False, na_values=[""])  # null may be a name
