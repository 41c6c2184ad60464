"""Artefacts: tables written in one form, and read with one line for what is missing or damaged."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from gradflow.errors import RunError
from gradflow.writing import replacing


def read_table(path: Path) -> pd.DataFrame:
    """A Parquet or CSV table.

    Raises:
        RunError: It is missing or damaged.
    """
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unusable(path, error) from None


def read_json(path: Path) -> Any:
    """A JSON document.

    Raises:
        RunError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from None


def joined(folder: Path, variants: Iterable[str], ending: str) -> pd.DataFrame:
    """One table of the variants' own, in their order, with the variant in the first column.

    Raises:
        RunError: One is missing or damaged.
    """
    tables = {variant: read_table(folder / f"{variant}{ending}") for variant in variants}
    return pd.concat(tables, names=["variant"]).reset_index(level="variant").reset_index(drop=True)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table with nine digits, gaps for nan."""
    with replacing(path) as file:
        table.to_csv(file, mode="wb", index=False, float_format="%.9g", lineterminator="\n")


def _unusable(path: Path, error: Exception) -> RunError:
    reason = "missing" if isinstance(error, FileNotFoundError) else str(error).split("\n", 1)[0][:80]
    return RunError(f"{path}: cannot be read ({reason}); run `dvc repro` to make it anew")
