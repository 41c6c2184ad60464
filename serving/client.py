"""client: the rows of a file, answered, as CSV on standard output."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import click
import httpx
import numpy as np
import pandas as pd

from gradflow.guards.errors import InputError, RunError, shown
from serving import current

_HERE = Path(__file__).parent
_ROWS_AT_ONCE = 500
_PATIENCE_SECONDS = 30.0


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="Where the server listens.")
@click.option(
    "--run", type=click.Path(path_type=Path), default=_HERE / "run", help="The server's state, in which its token is."
)
def main(file: Path, url: str, run: Path) -> None:
    """Answer the rows of FILE, CSV or Parquet: two columns of numbers, and perhaps one called label."""
    points = _points(file)
    token = os.environ.get("GRADFLOW_TOKEN") or _token(run / current.TOKEN)
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
    ) as client:
        for start in range(0, len(points), _ROWS_AT_ONCE):
            part = points.iloc[start : start + _ROWS_AT_ONCE]
            answer = _asked(client, part.to_numpy(dtype=float).tolist())
            first, second = zip(*answer["probabilities"], strict=True)
            table = part.assign(label=answer["labels"], probability_0=first, probability_1=second)
            table.to_csv(sys.stdout, index=False, header=start == 0)


def _points(file: Path) -> pd.DataFrame:
    """The rows of a file, two columns of numbers."""
    try:
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except FileNotFoundError:
        raise InputError(str(file), "no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(str(file), f"must be CSV or Parquet ({str(error).splitlines()[0][:120]})") from None
    features = table.drop(columns=[name for name in table.columns if str(name).lower() == "label"])
    if features.shape[1] != 2:
        raise InputError(str(file), f"must have two columns besides label, got {shown(list(features.columns))}")
    for name, column in features.items():
        if not pd.api.types.is_numeric_dtype(column) or not np.isfinite(column.to_numpy(dtype=float)).all():
            raise InputError(f"{file}: {name}", "must hold finite numbers without gaps")
    return features


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        raise RunError(f"{path}: cannot be read; start `make serve`, which makes it, or set GRADFLOW_TOKEN") from None


def _asked(client: httpx.Client, points: list[list[float]]) -> dict[str, Any]:
    """The answer to points (rows, 2); a server that is starting is asked again.

    Raises:
        RunError: There is none.
    """
    patience = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            answer = client.post("/predict", json={"points": points})
        except httpx.HTTPError as error:
            raise RunError(f"{client.base_url}: does not answer ({type(error).__name__}); start `make serve`") from None
        if answer.status_code == httpx.codes.OK:
            found: dict[str, Any] = answer.json()
            return found
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > patience:
            raise RunError(f"{client.base_url}: answered {answer.status_code}: {_reason(answer)}")
        time.sleep(1)


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"])[:200]
    except (KeyError, TypeError, ValueError):
        return "something else than this server"


if __name__ == "__main__":
    main()
