"""What may stand in studies/ledger/claims.yaml: every key, its type and its rule."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gradflow.guards.errors import InputError
from gradflow.params import loading, sections

Text = Annotated[str, Field(min_length=1)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
Metric = Annotated[str, Field(pattern=r"^\S+( / \S+)?$")]
ROOT, SERVING = "root", "serving"  # what claims call the recipe of the root, and what is served of it
LARGEST = 500_000  # bytes of a file of claims, of which a hundred take 60,000
TESTS = ("within", "at_most", "at_least", "exactly", "near")


class Source(sections.Section):
    """Where a claim comes from: one of the ledger's sources, and papers by their arXiv ids."""

    text: Text
    arxiv: list[Annotated[str, Field(pattern=r"^\d{4}\.\d{4,5}$")]] = Field(default_factory=list)


class Measure(sections.Section):
    """Which numbers of a study a claim is about.

    Attributes:
        study: :data:`ROOT`, :data:`SERVING`, or the name of a folder in studies/.
        metrics: Paths into the study's metrics.json, each under the words by which the verdict names it; a single
            path needs none. A path is keys joined by dots; in a list (by layer) a number counts from 1, ``last`` is
            the last one, ``9-20`` a range, and without any of them all entries are meant. ``path / path`` is a ratio
            of means.
        definition: What these numbers are, in words; ``{train.epochs}`` stands for that parameter of the study.
    """

    study: Word
    metrics: Metric | Annotated[dict[Text, Metric], Field(min_length=1)]
    definition: Text

    def paths(self) -> dict[str, str]:
        """Paths by name; the name of a single one is empty."""
        return {"": self.metrics} if isinstance(self.metrics, str) else dict(self.metrics)


class Near(sections.Section):
    """Close to a number, or to the metric whose name is that of the measured one and ``_predicted``."""

    relative: Annotated[float, Field(gt=0)]
    to: float | None = None


class Rule(sections.Section):
    """What the numbers must be for the claim to hold: one of :data:`TESTS`.

    ``over`` says of what: of each seed, hence of the smallest and the largest number; of the mean over seeds; or of
    the span, the largest mean over the smallest one among the entries of a list.
    """

    over: Literal["each seed", "mean", "span"] = "each seed"
    within: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    at_most: float | None = None
    at_least: float | None = None
    exactly: float | None = None
    near: Near | None = None

    def words(self, *, spread: bool) -> str:
        """The rule as a reader would say it; of numbers with a spread over seeds it also says of which of them."""
        match self:
            case Rule(within=[low, high]):
                text = f"{low:g} to {high:g}"
            case Rule(near=Near(relative=relative, to=None)):
                text = f"within {100 * relative:g}% of the predicted number"
            case Rule(near=Near(relative=relative, to=number)):
                text = f"within {100 * relative:g}% of {number:g}"
            case _:
                key = next(key for key in TESTS if getattr(self, key) is not None)
                text = f"{key.replace('_', ' ')} {getattr(self, key):g}"
        return f"{self.over}: {text}" if spread or self.over == "span" else text


class Claim(sections.Section):
    """One entry.

    Attributes:
        claim: What is claimed.
        source: Who says so.
        predicted: What the source, or theory, expects to be measured.
        measure: What is measured.
        test: When the claim holds.
        figure: A picture of it, seen from the root of the checkout.
        note: What a reader should know besides.
    """

    claim: Text
    source: Source
    predicted: Text | float
    measure: Measure
    test: Rule
    figure: Annotated[str, Field(pattern=r"^([a-z0-9_]+/)+[a-z0-9_]+\.png$")] | None = None
    note: Text | None = None


class Chapter(sections.Section):
    """Claims that belong together, by their ids."""

    title: Text
    claims: Annotated[dict[Word, Claim], Field(min_length=1)]


class Ledger(sections.Parameters):
    """The whole of studies/ledger/claims.yaml: what the sources are, and the claims by chapter."""

    sources: dict[Text, Text]
    chapters: Annotated[dict[Word, Chapter], Field(min_length=1)]

    def check(self) -> None:
        """Check that ids are unique, sources known, and each test is one test.

        Raises:
            InputError: Names the key to change.
        """
        seen: set[str] = set()
        for name, chapter in self.chapters.items():
            for key, claim in chapter.claims.items():
                where = f"claims.yaml: chapters.{name}.claims.{key}"
                if key in seen:
                    raise InputError(where, "must not stand in two chapters")
                seen.add(key)
                if claim.source.text not in self.sources:
                    known = ", ".join(self.sources)
                    raise InputError(f"{where}.source.text", f"must be one of {known}, got {claim.source.text!r}")
                given = [test for test in TESTS if getattr(claim.test, test) is not None]
                if len(given) != 1:
                    got = ", ".join(given) or "none"
                    raise InputError(f"{where}.test", f"must have exactly one of {', '.join(TESTS)}, got {got}")
                _check_together(f"{where}.test", claim)


def _check_together(where: str, claim: Claim) -> None:
    """Check that a test can be applied to its metrics."""
    rule, paths = claim.test, claim.measure.paths().values()
    if rule.within and rule.within[0] > rule.within[1]:
        raise InputError(f"{where}.within", f"must have the smaller number first, got {rule.within}")
    beside = rule.near is not None and rule.near.to is None
    if beside and rule.over == "span":
        raise InputError(f"{where}.near", "must have a number `to` for a span, got none")
    if any(" / " in path for path in paths):
        if beside:
            raise InputError(f"{where}.near", "must have a number `to` for a ratio, got none")
        if rule.over != "mean":
            raise InputError(f"{where}.over", f"must be mean for a ratio, which is one of means, got {rule.over!r}")


def load(path: Path) -> Ledger:
    """Read and check the claims.

    Raises:
        InputError: The file is missing, is no YAML, or breaks a rule; names file, key, rule and value.
    """
    return loading.load(Ledger, path, LARGEST)
