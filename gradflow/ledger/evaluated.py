"""What is read of an evaluated claim, as reports/claims.json holds it."""

from typing import Literal

from gradflow.files.documents import Document

Kind = Literal["holds", "holds only for", "does not hold"]


class Source(Document):
    """Where the claim comes from."""

    text: str
    arxiv: list[str]


class Number(Document):
    """A measured number; see :class:`gradflow.ledger.measured.Measured`."""

    name: str
    entry: str
    mean: float
    min: float
    max: float
    seeds: int | None
    trained: int | None


class Evaluated(Document):
    """The claim, what was measured, and the verdict."""

    id: str
    chapter: str
    claim: str
    source: Source
    predicted: str | float
    study: str
    definition: str
    over: str
    test: str
    measured: list[Number]
    kind: Kind
    verdict: str
    figure: str | None
    note: str | None
