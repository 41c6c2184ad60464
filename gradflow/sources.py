"""Where the rows come from: ``data.source`` names one of the functions in :data:`SOURCES`.

Each imports what it needs when it is called, so that no source pays for another.
"""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from gradflow.errors import InputError, RunError
from gradflow.params import Data


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

    datasets.disable_progress_bars()
    where, others = "params.yaml: data.path", "data.source can also be sklearn or file"
    try:
        splits = datasets.load_dataset(data.path, revision=data.revision)
    except datasets.exceptions.DatasetNotFoundError:
        revision = f" at revision {data.revision}" if data.revision else ""
        raise InputError(where, f"the hub has no data set {data.path!r}{revision}; {others}") from None
    except datasets.exceptions.DatasetsError as error:
        raise InputError(where, f"{data.path!r} cannot be read: {_first_line(error)}; {others}") from None
    except ConnectionError:
        raise RunError(f"the hub cannot be reached for data set {data.path!r}; try again later; {others}") from None
    return pa.concat_tables(part.with_format("arrow")[:] for part in splits.values())


def file(data: Data) -> pa.Table:
    """A CSV or Parquet file of the user's own.

    Raises:
        InputError: The file is missing, empty, damaged or of another kind.
    """
    path = Path(data.path)
    if not path.is_file():
        raise InputError("params.yaml: data.path", f"must name a file, found none at {data.path!r}")
    try:
        match path.suffix.lower():
            case ".csv":
                import pyarrow.csv

                return pyarrow.csv.read_csv(path)
            case ".parquet":
                import pyarrow.parquet

                return pyarrow.parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(str(path), f"cannot be read: {_first_line(error)}") from None
    raise InputError("params.yaml: data.path", f"must end in .csv or .parquet, got {data.path!r}")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:120]


SOURCES: dict[str, Callable[[Data], pa.Table]] = {"sklearn": sklearn, "hub": hub, "file": file}
