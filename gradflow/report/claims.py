"""The claims of the ledger, as rows of a table and the choices of its filters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What filters choose by; a verdict is cut after its first words, so that "holds only for ..." is one choice.
_FILTERS = ("verdict", "source", "study")


@dataclass(frozen=True)
class Claim:
    """A row: the claim's own entries as text, and the kind of its verdict.

    Attributes:
        entries: id, claim, source, predicted, measured, spread, seeds, verdict, study, definition, note.
        kind: ``holds``, ``does not hold`` or ``holds only for some``.
        figure: Address of its figure, relative to the page; empty if it has none.
    """

    entries: dict[str, str]
    kind: str
    figure: str


def claims(ledger: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """The rows, in the order of the ledger (reports/claims.json)."""
    return [_row(entry) for entry in ledger]


def choices(rows: Sequence[Claim]) -> dict[str, list[str]]:
    """The values of each filter, in the order in which the rows bring them."""
    return {
        name: list(dict.fromkeys(row.kind if name == "verdict" else row.entries[name] for row in rows))
        for name in _FILTERS
    }


def counts(rows: Sequence[Claim]) -> dict[str, int]:
    """How many rows have each kind of verdict."""
    kinds = [row.kind for row in rows]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def _row(entry: Mapping[str, Any]) -> Claim:
    names = (
        "id",
        "claim",
        "source",
        "predicted",
        "measured",
        "spread",
        "seeds",
        "verdict",
        "study",
        "definition",
        "note",
    )
    text = {name: "" if entry.get(name) is None else str(entry[name]) for name in names}
    kind = "holds only for some" if text["verdict"].startswith("holds only for") else text["verdict"]
    return Claim(text, kind, _address(str(entry.get("figure") or "")))


def _address(figure: str) -> str:
    """The figure as seen from reports/index.html; nothing but a path inside reports/ becomes a link."""
    path = figure.removeprefix("reports/")
    return path if path and ":" not in path and not path.startswith(("/", "\\", "..")) else ""
