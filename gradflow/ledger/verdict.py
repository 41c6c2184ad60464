"""The verdict on a claim, from the measured numbers alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from gradflow.ledger.claims import Rule
from gradflow.ledger.measured import Measured

HOLDS, FAILS, PARTLY = "holds", "does not hold", "holds only for"


@dataclass(frozen=True)
class Verdict:
    """What the numbers say.

    Attributes:
        kind: ``holds``, ``does not hold`` or ``holds only for``.
        holds: For each measured number, whether the test passes there; of a span, all entries share its result.
        only: The parts for which it holds, where it does not for all: settings, layers, seeds.
    """

    kind: str
    holds: tuple[bool, ...]
    only: str = ""

    def __str__(self) -> str:
        """In words."""
        return f"{self.kind} {self.only}".strip()


def judge(numbers: Sequence[Measured], rule: Rule) -> Verdict:
    """Apply a rule to the numbers of a claim, of which there is at least one."""
    if rule.over == "span":
        by_name = {
            name: _span([n for n in numbers if n.name == name]) for name in dict.fromkeys(n.name for n in numbers)
        }
        holds = tuple(_passes(by_name[n.name], by_name[n.name], None, rule) for n in numbers)
    elif rule.over == "mean":
        holds = tuple(_passes(n.mean, n.mean, n.predicted, rule) for n in numbers)
    else:
        holds = tuple(_of_all_seeds(n) and _passes(n.low, n.high, n.predicted, rule) for n in numbers)
    if all(holds):
        return Verdict(HOLDS, holds)
    if not any(holds):
        return Verdict(FAILS, holds)
    return Verdict(PARTLY, holds, _parts([n for n, passed in zip(numbers, holds, strict=True) if passed], numbers))


def _of_all_seeds(number: Measured) -> bool:
    """Whether no seed is missing: one that diverged has no number, and has not done what is claimed of each."""
    return number.seeds is None or number.trained is None or number.seeds >= number.trained


def _span(numbers: Sequence[Measured]) -> float:
    """Largest over smallest mean; infinite if the smallest is 0."""
    low, high = min(n.mean for n in numbers), max(n.mean for n in numbers)
    return high / low if low else float("inf")


def _passes(low: float, high: float, predicted: float | None, rule: Rule) -> bool:
    """Whether all numbers from the smallest to the largest pass."""
    if rule.within:
        return rule.within[0] <= low and high <= rule.within[1]
    if rule.at_most is not None:
        return high <= rule.at_most
    if rule.at_least is not None:
        return low >= rule.at_least
    if rule.exactly is not None:
        return low == high == rule.exactly
    assert rule.near
    target = rule.near.to if predicted is None else predicted
    assert target is not None
    room = rule.near.relative * abs(target)
    return abs(low - target) <= room and abs(high - target) <= room


def _parts(passed: Sequence[Measured], every: Sequence[Measured]) -> str:
    """Names of the numbers that passed: a setting whose entries all did by its name alone, neighbours as a range."""
    words = []
    for name, group in groupby(passed, key=lambda n: n.name):
        entries = [n.entry for n in group]
        of_name = sum(n.name == name for n in every)
        inside = "" if name and len(entries) == of_name else _ranges(entries)
        words.append(f"{name} ({inside})" if name and inside else name or inside)
    return ", ".join(words)


def _ranges(entries: Sequence[str]) -> str:
    """``layer 1, layer 2, layer 3, layer 7`` as ``layers 1-3, 7``."""
    found = [re.fullmatch(r"(\w+) (\d+)", entry) for entry in entries]
    places = [(match[1], int(match[2])) for match in found if match]
    if len(places) != len(entries):
        return ", ".join(entries)
    runs = []
    for _, group in groupby(enumerate(places), key=lambda pair: pair[1][1] - pair[0]):
        run = [place for _, (_, place) in group]
        runs.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    word = places[0][0]
    return f"{word}{'s' * (len(entries) > 1)} {', '.join(runs)}"
