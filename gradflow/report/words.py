"""Numbers in words, as the text of the page gives them."""

from collections.abc import Mapping
from typing import Any


def number(value: float | None) -> str:
    """Three significant digits, ``0.964`` or ``7.2e-7``; a dash where there is no number."""
    if value is None:
        return "–"
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    digits, exponent = text.split("e")
    return f"{digits}e{int(exponent)}"


def over_seeds(spread: Mapping[str, Any]) -> str:
    """Mean and, where seeds differ, smallest to largest: ``0.0648 (0.0626 to 0.0669)``.

    Args:
        spread: ``mean``, ``min`` and ``max`` over the seeds; None for each where no seed is left.
    """
    mean, low, high = (number(spread[key]) for key in ("mean", "min", "max"))
    return mean if low == high else f"{mean} ({low} to {high})"


def count(number_of: int, word: str) -> str:
    """``1 seed``, ``8 seeds``."""
    return f"{number_of:,} {word}{'s' * (number_of != 1)}"
