"""Parquet files: every page carries a checksum, and what does not agree with it is not read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gradflow.files.writing import replacing
from gradflow.guards import manifest


def write(path: Path, table: pa.Table) -> None:
    """Write a table; the same rows give the same bytes."""
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def read(path: Path) -> pa.Table:
    """Read what :func:`write` wrote.

    Raises:
        RunError: It is missing or damaged.
    """
    manifest.check(path)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read().replace_schema_metadata()  # what pandas writes there has no checksum
    except (OSError, ValueError, pa.ArrowException) as error:
        raise manifest.unusable(path, error) from None
