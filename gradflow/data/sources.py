"""Where the rows come from: ``data.source`` names one of the functions in :data:`SOURCES`.

Each imports what it needs when it is called, so that no source pays for the imports of another.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gradflow.data import dataset
from gradflow.guards.errors import InputError, RunError
from gradflow.recipe import Data, Recipe


def load(config: Recipe) -> tuple[dataset.Points, dataset.Labels, dict[str, Any]]:
    """The rows that ``data`` asks for, fit to be split, batched and probed.

    Returns:
        Points (rows, 2), labels (rows,) in {0, 1}, and what they are: the keys of :class:`dataset.Source`.

    Raises:
        InputError: There are no such data, or they are not as they should be.
        RunError: They cannot be reached.
    """
    data = config.data
    where = {"sklearn": "params.yaml: data", "hub": f"params.yaml: data.path: {data.path}", "file": data.path}[
        data.source
    ]
    points, labels, names, features = dataset.standardise(SOURCES[data.source](data), where)
    classes = {name: int((labels == label).sum()) for label, name in enumerate(names)}
    config.check_rows(classes.values())
    about = {
        "source": data.source,
        "path": None if data.source == "sklearn" else data.path,
        "revision": data.revision if data.source == "hub" else None,
        "rows": len(labels),
        "classes": classes,
        "features": features,
    }
    return points, labels, about


def sklearn(data: Data) -> pa.Table:
    """Two interleaved half circles with Gaussian noise: scikit-learn's ``make_moons``."""
    from sklearn.datasets import make_moons

    points, labels = make_moons(n_samples=data.samples, noise=data.noise, random_state=data.seed)
    return pa.table({"x1": points[:, 0], "x2": points[:, 1], "label": labels})


def hub(data: Data) -> pa.Table:
    """A data set of the Hugging Face hub, or a folder in its layout; all its splits are joined.

    Raises:
        InputError: There is no such data set, or it cannot be read as a table.
        RunError: The hub cannot be reached.
    """
    import datasets
    import huggingface_hub

    datasets.disable_progress_bars()
    huggingface_hub.utils.disable_progress_bars()
    for library in ("datasets", "huggingface_hub"):  # what went wrong is said below, in one line
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    where, others = "params.yaml: data.path", "data.source can also be sklearn or file"
    try:
        splits = datasets.load_dataset(data.path, revision=data.revision)
    except datasets.exceptions.DatasetNotFoundError:
        revision = f" at revision {data.revision!r}" if data.revision else ""
        raise InputError(
            where, f"must name a data set of the hub, found none at {data.path!r}{revision}; {others}"
        ) from None
    except ConnectionError:
        raise RunError(f"the hub cannot be reached for data set {data.path!r}; try again later; {others}") from None
    # Data files that are absent, damaged or unlike each other, no possible name, a choice of configurations, a script
    except (datasets.exceptions.DatasetsError, FileNotFoundError, ValueError, RuntimeError) as error:
        raise InputError(where, f"{data.path!r} cannot be read: {_first_line(error)}; {others}") from None
    except (OSError, huggingface_hub.errors.HTTPError) as error:
        raise RunError(f"data set {data.path!r} was not got: {_first_line(error)}; try again later; {others}") from None
    _check_rows(sum(part.num_rows for part in splits.values()), f"{where}: {data.path}")
    return pa.concat_tables(part.with_format("arrow")[:] for part in splits.values())


def file(data: Data) -> pa.Table:
    """A CSV or Parquet file of the user's own.

    Raises:
        InputError: The file is missing, empty, damaged or of another kind.
    """
    path = Path(data.path)
    try:
        if not path.is_file():
            raise InputError("params.yaml: data.path", f"must name a file, found none at {data.path!r}")
        match path.suffix.lower():
            case ".csv":
                import pyarrow.csv

                gaps = pyarrow.csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
                table = _trimmed(pyarrow.csv.read_csv(path, convert_options=gaps))
                if _names_could_be_a_row(table):  # which would be lost
                    rule = "must name the columns in its first line, e.g. x1,x2,label"
                    names = ",".join(table.column_names)[:80]
                    raise InputError(str(path), f"{rule}; got {names}, which could be a row")
                _check_rows(table.num_rows, str(path))
                return table
            case ".parquet":
                import pyarrow.parquet

                schema = pyarrow.parquet.read_schema(path)
                if dataset.without_index(schema.empty_table()).num_columns != 3:
                    return schema.empty_table()  # which will be refused
                for field in schema:
                    _check_kind(field, str(path))
                # Text stays packed: a small file can hold a long one for each of many rows.
                packed = [field.name for field in schema if field.type in _TEXT]
                with pyarrow.parquet.ParquetFile(path, read_dictionary=packed) as parquet:
                    _check_rows(parquet.metadata.num_rows, str(path))
                    return parquet.read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(str(path), f"cannot be read: {_first_line(error)}") from None
    raise InputError("params.yaml: data.path", f"must end in .csv or .parquet, got {data.path!r}")


def _check_kind(field: pa.Field, where: str) -> None:
    """Refuse a column of which each of many rows may hold much, before it is unpacked."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if not (pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or kind in (*_TEXT, pa.null())):
        raise InputError(f"{where}: column {field.name}", f"must hold one value a row, got {field.type}")


def _check_rows(rows: int, where: str) -> None:
    if rows > dataset.MOST_ROWS:
        raise InputError(where, f"must have at most {dataset.MOST_ROWS:,} rows, got {rows:,}")


def _trimmed(table: pa.Table) -> pa.Table:
    """A table of a CSV file without the spaces beside its commas, which pyarrow leaves in names and text."""
    columns = [_trimmed_text(c) if pa.types.is_string(c.type) else c for c in table.columns]
    return pa.table(columns, names=[name.strip() for name in table.column_names])


def _trimmed_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without spaces around it; what holds nothing else is a gap."""
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, trimmed.type), trimmed)


def _names_could_be_a_row(table: pa.Table) -> bool:
    """Whether the names of columns may be values: numbers other than 0, 1, 2, which pandas gives to columns of no name.

    Without an index, which only pandas writes, these may be a row as well: where all of them are numbers, or all but
    one that is among the values of its column.
    """
    named = dataset.without_index(table)
    if any(_is_number(name) and name != str(place) for place, name in enumerate(named.column_names)):
        return True
    columns = zip(named.column_names, named.columns, strict=True)
    words = [(name, column) for name, column in columns if not _is_number(name)]
    without = named.num_columns == table.num_columns
    return without and len(words) <= 1 and all(_holds(column, name) for name, column in words)


def _holds(column: pa.ChunkedArray, text: str) -> bool:
    try:
        return bool(pc.index(column, pa.scalar(text).cast(column.type)).as_py() >= 0)
    except pa.ArrowException:  # no value of that type
        return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:120]


_TEXT = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
SOURCES: dict[str, Callable[[Data], pa.Table]] = {"sklearn": sklearn, "hub": hub, "file": file}
