"""Numbers from a metrics.json by their paths, with a one-line error for what is missing."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gradflow.analysis.spread import Metrics
from gradflow.files import documents
from gradflow.guards.errors import RunError
from gradflow.ledger.claims import ROOT, SERVING, Claim


@dataclass(frozen=True)
class Measured:
    """One measured number.

    Attributes:
        name: The claim's words for it; empty where it has a single metric.
        entry: Which one of a list it is, such as ``layer 3``; empty if it stands in none.
        mean: Over seeds.
        std: Standard deviation over seeds; None if nothing is known of the spread.
        low: The smallest seed's.
        high: The largest seed's.
        seeds: How many; None if it is one number for all.
        trained: How many were trained, where the metrics say so: seeds that diverged have no number.
        predicted: The metric of the same name with ``_predicted``, where the claim asks for it.
    """

    name: str
    entry: str
    mean: float
    std: float | None
    low: float
    high: float
    seeds: int | None
    predicted: float | None = None
    trained: int | None = None


def folder_of(study: str, root: Path) -> Path:
    """Where the params.yaml of a study lies, and its ``reports/``: recipe and serving/ are projects of their own."""
    return root / {ROOT: "", SERVING: SERVING}.get(study, f"studies/{study}")


def metrics(file: Path) -> Any:
    """What a metrics file holds; for errors see :func:`gradflow.files.documents.read`."""
    return documents.read(file, Metrics)


def read(claim: Claim, root: Path, metrics: Callable[[Path], Any] = metrics) -> list[Measured]:
    """The numbers that a claim is about, in the order of its metrics.

    Args:
        claim: The claim.
        root: The folder of the recipe, with ``studies/``.
        metrics: Reads a metrics file; many claims share one.

    Raises:
        RunError: The metrics file or a number is missing; names file and key.
    """
    file = folder_of(claim.measure.study, root) / "reports" / "metrics.json"
    document = metrics(file)
    found = []
    for name, path in claim.measure.paths().items():
        numbers = _ratio(document, file, path) if " / " in path else list(_numbers(document, file, path))
        if claim.test.near and claim.test.near.to is None:
            beside = list(_numbers(document, file, _predicted(path)))
            if len(beside) != len(numbers):
                raise RunError(f"{file}: {_predicted(path)}: must have as many entries as {path}")
            numbers = [replace(one, predicted=other.mean) for one, other in zip(numbers, beside, strict=True)]
        trained = document[path.partition(".")[0]].get("seeds")
        found += [replace(number, name=name, trained=trained) for number in numbers]
    return found


def _predicted(path: str) -> str:
    """The path of the prediction: the last key that is a name gets ``_predicted`` at its end."""
    return re.sub(r"^(.*?[a-z]\w*)((?:\.(?:\d+|\d+-\d+|last))*)$", r"\1_predicted\2", path)


def _ratio(document: Any, file: Path, path: str) -> list[Measured]:
    over, under = ([*_numbers(document, file, part)] for part in path.split(" / "))
    if len(over) != 1 or len(under) != 1 or under[0].mean == 0:
        raise RunError(f"{file}: {path}: must be one number over another that is not 0")
    ratio = over[0].mean / under[0].mean
    return [Measured("", "", ratio, None, ratio, ratio, over[0].seeds)]


def _numbers(document: Any, file: Path, path: str) -> Iterator[Measured]:
    for entry, value in _walk(document, path.split("."), "", file, path):
        yield _number(value, entry, file, path)


def _walk(value: Any, keys: list[str], entry: str, file: Path, path: str) -> Iterator[tuple[str, Any]]:
    """The values that a path leads to, each with the name of its entry in the list on the way, if there is one."""
    if isinstance(value, list):
        chosen, rest = _entries(value, keys[0] if keys else "")
        if not chosen:
            raise RunError(f"{file}: {path}: has no such entry")
        for name, item in chosen:
            yield from _walk(item, keys[1:] if rest else keys, name, file, path)
    elif not keys:
        yield entry, value
    elif isinstance(value, dict) and keys[0] in value:
        yield from _walk(value[keys[0]], keys[1:], entry, file, path)
    else:
        raise RunError(f"{file}: {path}: is missing, there is no {keys[0]}; run `dvc repro` to make it anew")


def _entries(items: list[Any], key: str) -> tuple[list[tuple[str, Any]], bool]:
    """The entries that a key names, all if it names none, and whether it did."""
    named = [(_entry(place, item), item) for place, item in enumerate(items, start=1)]
    if key == "last":
        return named[-1:], True
    if match := re.fullmatch(r"(\d+)(?:-(\d+))?", key):
        first, last = int(match[1]), int(match[2] or match[1])
        return named[first - 1 : last] if 1 <= first <= last <= len(named) else [], True
    return named, False


def _entry(place: int, item: Any) -> str:
    """Lists are by layer, but for those of seeds."""
    return f"seed {item['seed']}" if isinstance(item, dict) and "seed" in item else f"layer {place}"


def _number(value: Any, entry: str, file: Path, path: str) -> Measured:
    where = f"{path} ({entry})" if entry else path
    if isinstance(value, dict) and {"mean", "std", "min", "max"} <= set(value):
        if value["mean"] is None:
            raise RunError(f"{file}: {where}: is null, no seed has such a number")
        return Measured("", entry, value["mean"], value["std"], value["min"], value["max"], value.get("seeds"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RunError(f"{file}: {where}: must be a number or {{mean, std, min, max}}")
    return Measured("", entry, value, None, value, value, None)
