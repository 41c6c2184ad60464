"""The claims of the ledger, as rows of a table and the choices of its filters."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from gradflow.ledger.evaluated import Kind
from gradflow.report.words import count, exact, number


@dataclass(frozen=True)
class Claim:
    """A row of the table, as text.

    Attributes:
        key: The claim's id.
        chapter: The title of its chapter in the ledger.
        claim: What is claimed.
        source: Who says so; a filter.
        papers: arXiv ids.
        predicted: What was expected.
        measured: A line for each measured setting.
        definition: What the numbers are.
        test: When the claim holds.
        kind: ``holds``, ``does not hold`` or ``holds only for``; a filter.
        verdict: The same, with what it holds for.
        study: A filter.
        figure: Address of its figure, relative to the page; empty if it has none.
        note: What a reader should know besides; may be empty.
    """

    key: str
    chapter: str
    claim: str
    source: str
    papers: list[str]
    predicted: str
    measured: list[str]
    definition: str
    test: str
    kind: str
    verdict: str
    study: str
    figure: str
    note: str


def claims(ledger: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """The rows, in the order of the ledger (reports/claims.json)."""
    return [_row(entry) for entry in ledger]


def chapters(rows: Sequence[Claim]) -> dict[str, list[Claim]]:
    """The rows of each chapter, by its title."""
    titles = dict.fromkeys(row.chapter for row in rows)
    return {title: [row for row in rows if row.chapter == title] for title in titles}


def choices(rows: Sequence[Claim]) -> dict[str, list[str]]:
    """The values of each filter; sources and studies in the order in which the rows bring them."""
    return {
        "verdict": list(counts(rows)),
        "source": list(dict.fromkeys(row.source for row in rows)),
        "study": list(dict.fromkeys(row.study for row in rows)),
    }


def counts(rows: Sequence[Claim]) -> dict[str, int]:
    """How many rows have each kind of verdict, without the kinds that none has."""
    kinds = [row.kind for row in rows]
    return {kind: kinds.count(kind) for kind in get_args(Kind) if kind in kinds}


def _row(entry: Mapping[str, Any]) -> Claim:
    predicted = entry["predicted"]
    return Claim(
        key=entry["id"],
        chapter=entry["chapter"],
        claim=entry["claim"],
        source=entry["source"]["text"],
        papers=entry["source"]["arxiv"],
        predicted=predicted if isinstance(predicted, str) else number(predicted),
        measured=_measured(entry["measured"], entry["over"]),
        definition=entry["definition"],
        test=entry["test"],
        kind=entry["kind"],
        verdict=entry["verdict"],
        study=entry["study"],
        figure=_address(entry["figure"] or ""),
        note=entry["note"] or "",
    )


def _measured(numbers: Sequence[Mapping[str, Any]], over: str) -> list[str]:
    """A line a setting: its mean and range over seeds, or where it has many entries the range of what is judged."""
    lines = []
    for name in dict.fromkeys(entry["name"] for entry in numbers):
        of_name = [entry for entry in numbers if entry["name"] == name]
        first, last = of_name[0], of_name[-1]
        said = number if first["seeds"] else exact  # a count, or a number of one seed's own
        extremes = ("min", "max") if len(of_name) == 1 or over == "each seed" else ("mean", "mean")
        ends = [pick(entry[key] for entry in of_name) for key, pick in zip(extremes, (min, max), strict=True)]
        low, high = map(said, ends)
        spread = low if low == high else f"{low} to {high}"
        if len(of_name) > 1 and over == "span" and ends[0]:
            spread += f", a factor of {number(ends[1] / ends[0])}"
        if len(of_name) == 1:
            where, value = first["entry"], said(first["mean"])
            value += f" ({spread})" if low != high else ""
        else:
            where, value = f"{first['entry']} to {last['entry']}", spread
        heading = ", ".join(part for part in (name, where) if part)
        seeds = f", {_seeds(first)}" if first["seeds"] is not None else ""
        lines.append(f"{heading}: {value}{seeds}" if heading else f"{value}{seeds}")
    return lines


def _seeds(number: Mapping[str, Any]) -> str:
    """How many seeds stand behind a number; of how many, if some have none."""
    seeds, trained = number["seeds"], number["trained"]
    return count(seeds, "seed") if trained is None or seeds >= trained else f"{seeds} of {count(trained, 'seed')}"


def _address(figure: str) -> str:
    """The figure as seen from the page in reports/; nothing but a PNG there or in a study's reports becomes a link."""
    return figure if re.fullmatch(r"(\.\./studies/\w+/reports/)?(\w+/)*\w+\.png", figure, re.ASCII) else ""
