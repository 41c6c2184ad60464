"""A number over seeds, as metrics files hold it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import FiniteFloat

from gradflow.files.documents import Document


class Spread(Document):
    """What :func:`over_seeds` finds."""

    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    seeds: int


# What a metrics file holds of a variant, by name: a number, its spread, or either by layer; and lists of lost seeds.
Metrics = dict[
    str, dict[str, Spread | FiniteFloat | list[Spread] | list[FiniteFloat | None] | list[dict[str, int]] | None]
]


def over_seeds(values: Iterable[float]) -> dict[str, float | int | None]:
    """Mean, population standard deviation, smallest and largest value, and of how many seeds.

    Args:
        values: One a seed; nan where a seed has no such number, which is left out.
    """
    numbers = np.array(list(values), dtype=np.float64)
    numbers = numbers[~np.isnan(numbers)]
    found = [float(f(numbers)) if len(numbers) else None for f in (np.mean, np.std, np.min, np.max)]
    return dict(zip(("mean", "std", "min", "max"), found, strict=True)) | {"seeds": len(numbers)}


def factor(line: Sequence[float]) -> float:
    """Least-squares factor from one number to the next: exp of the slope of log(line) against 0, 1, 2, ...

    In closed form with exact sums, so that all processors find the same digits: the products of a linear-algebra
    library differ in their last bits.

    Args:
        line: At least two positive numbers.
    """
    centre = (len(line) - 1) / 2
    away = [index - centre for index in range(len(line))]
    slope = math.fsum(x * math.log(y) for x, y in zip(away, line, strict=True)) / math.fsum(x * x for x in away)
    return math.exp(slope)


def share(found: int, of: int) -> tuple[float, float, float]:
    """A share, and its Wilson score interval of 95 %, which stays within 0 and 1 and has a width at both ends.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22:209-212.

    Args:
        found: How many there are.
        of: Of how many, at least one.
    """
    z = 1.959963984540054  # 97.5 % of a normal distribution lie below
    p, room = found / of, z**2 / of
    centre, half = p + room / 2, z * math.sqrt(p * (1 - p) / of + room / (4 * of))
    return p, max(0.0, (centre - half) / (1 + room)), min(1.0, (centre + half) / (1 + room))


def spreads(metrics: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """The metrics of a variant that are numbers, each with its mean, min and max: over seeds, or of its interval.

    An interval stands beside its number under the same name and ``_low`` and ``_high``. Of what has neither, all three
    are the same; lists by layer, and what no seed has, are left out.
    """
    for name, value in metrics.items():
        if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in metrics:
            continue
        beside = {
            "mean": value,
            "min": metrics.get(f"{name}_low", value),
            "max": metrics.get(f"{name}_high", value),
        }
        spread: Mapping[str, Any] = value if isinstance(value, Mapping) else beside
        if isinstance(spread.get("mean"), int | float):
            yield name, {key: float(spread.get(key, spread["mean"])) for key in ("mean", "min", "max")}
