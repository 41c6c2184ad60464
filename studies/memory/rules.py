"""How much each block keeps of a batch, when all of them together keep no more than ``depth * mean`` rows."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from studies.memory.params import Rules

Numbers = NDArray[np.float64]
Rows = NDArray[np.int64]


def equal(scores: Numbers, batch: int, rules: Rules) -> Rows:
    """The same for all: ``mean``."""
    return np.full(scores.shape, rules.mean)


def largest(scores: Numbers, batch: int, rules: Rules) -> Rows:
    """The whole batch for the blocks with the largest scores, for others equal parts of what is left: ``low`` or more.

    As many blocks are kept whole as memory allows.
    """
    depth = len(scores)
    whole = rules.whole(depth, batch)
    left = (depth * rules.mean - whole * batch) // (depth - whole)
    order = np.argsort(np.argsort(-scores, axis=0, kind="stable"), axis=0)
    return np.where(order < whole, batch, left)


def smallest(scores: Numbers, batch: int, rules: Rules) -> Rows:
    """The other way round."""
    return largest(-scores, batch, rules)


def by_root(scores: Numbers, batch: int, rules: Rules) -> Rows:
    """R_l in proportion to the root of the score, from 1 to the batch, rounded down.

    With E_l of :func:`gradflow.memory.sketched.spread` as scores this makes sum_l E_l (batch / R_l - 1) the smallest
    that memory allows, but for rounding. The factor is found by bisection.
    """
    roots = np.sqrt(np.maximum(scores, 1e-12 * scores.max(0)))
    low, high = np.zeros(scores.shape[1:]), batch / roots.min(0)

    def rows(factor: Numbers) -> Rows:
        found: Rows = np.floor(np.clip(factor * roots, 1, batch)).astype(np.int64)
        return found

    for _ in range(100):
        middle = (low + high) / 2
        fits = rows(middle).sum(0) <= len(scores) * rules.mean
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return rows(low)


# Name of a rule to how it shares out memory, and by which score of the blocks
RULES: dict[str, tuple[Callable[[Numbers, int, Rules], Rows], str]] = {
    "equal": (equal, "ratio"),
    "large_branches_whole": (largest, "ratio"),
    "small_branches_whole": (smallest, "ratio"),
    "open_gates_whole": (largest, "gate"),
    "by_spread": (by_root, "spread"),
}
