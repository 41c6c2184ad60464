"""A number over seeds, as metrics files hold it."""

import math
from collections.abc import Iterable, Sequence

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
