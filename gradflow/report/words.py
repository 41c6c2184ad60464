"""Numbers in words, as the text of the page gives them."""

from collections.abc import Mapping
from typing import Any


def number(value: float | None) -> str:
    """Three significant digits, ``0.970`` or ``7.24e-7``; a dash where there is no number."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{digits}e{int(exponent)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def exact(value: float) -> str:
    """A parameter as short as it can be written: ``0.1``, ``1e-6``."""
    text = f"{value:g}"
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
