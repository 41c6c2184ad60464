"""All claims with their numbers and verdicts, as JSON holds them and as a page in Markdown."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradflow.errors import RunError
from gradflow.ledger import measured
from gradflow.ledger.claims import Chapter, Claim, Ledger
from gradflow.ledger.verdict import FAILS, HOLDS, PARTLY, judge


def evaluate(ledger: Ledger, reports: Path) -> list[dict[str, Any]]:
    """Each claim with what was measured and the verdict, in the order of the ledger.

    Args:
        ledger: The claims.
        reports: The folder of all reports: metrics files and figures.

    Raises:
        RunError: A metrics file, a number or a figure is missing; names file and key.
    """
    return [
        _evaluate(key, claim, chapter, ledger, reports)
        for chapter in ledger.chapters.values()
        for key, claim in chapter.claims.items()
    ]


def _evaluate(key: str, claim: Claim, chapter: Chapter, ledger: Ledger, reports: Path) -> dict[str, Any]:
    if claim.figure and not (reports / claim.figure).is_file():
        raise RunError(f"{reports / claim.figure}: no such figure, which claim {key} shows; run `dvc repro` to draw it")
    try:
        numbers = measured.read(claim, reports)
    except RunError as error:
        raise RunError(f"{error.message} (claim {key})") from None
    verdict = judge(numbers, claim.test)
    return {
        "id": key,
        "chapter": chapter.title,
        "claim": claim.claim,
        "source": {
            "text": claim.source.text,
            "described": ledger.sources[claim.source.text],
            "arxiv": claim.source.arxiv,
        },
        "predicted": claim.predicted,
        "study": claim.measure.study,
        "metrics": claim.measure.paths(),
        "definition": claim.measure.definition,
        "test": claim.test.words(spread=any(number.seeds for number in numbers)),
        "measured": [
            {
                "name": number.name,
                "entry": number.entry,
                "mean": number.mean,
                "std": number.std,
                "min": number.low,
                "max": number.high,
                "seeds": number.seeds,
                "predicted": number.predicted,
                "holds": holds,
            }
            for number, holds in zip(numbers, verdict.holds, strict=True)
        ],
        "kind": verdict.kind,
        "verdict": str(verdict),
        "figure": claim.figure,
        "note": claim.note,
    }


def markdown(results: Sequence[dict[str, Any]]) -> str:
    """A page with a table a chapter; links are seen from reports/."""
    kinds = Counter(result["kind"] for result in results)
    counts = ", ".join(
        f"{kinds[kind]} {words}" for kind, words in ((HOLDS, "hold"), (FAILS, "do not"), (PARTLY, "hold in part"))
    )
    lines = [
        "# Claims",
        "",
        f"{len(results)} claims: {counts}. Each verdict follows from the numbers alone: `ledger/claims.yaml` says what"
        " is measured and when a claim holds, `claims.json` has every number.",
    ]
    for title in dict.fromkeys(result["chapter"] for result in results):
        chapter = [result for result in results if result["chapter"] == title]
        lines += ["", f"## {title}", ""]
        lines += ["| Claim | Predicted | Measured | Test | Verdict |", "|---|---|---|---|---|"]
        lines += [f"| {' | '.join(_row(result))} |" for result in chapter]
        notes = [f"- `{result['id']}`: {_text(result['note'])}" for result in chapter if result["note"]]
        lines += ["", *notes] if notes else []
    sources = dict.fromkeys((result["source"]["text"], result["source"]["described"]) for result in results)
    lines += ["", "## Sources", "", *(f"- *{_text(text)}*: {_text(described)}" for text, described in sources)]
    return "\n".join(lines) + "\n"


def _row(result: dict[str, Any]) -> list[str]:
    source = result["source"]
    papers = "".join(f", [arXiv {paper}](https://arxiv.org/abs/{paper})" for paper in source["arxiv"])
    figure = f" [figure]({result['figure']})" if result["figure"] else ""
    return [
        f"{_text(result['claim'])}<br><sub>`{result['id']}` · {_text(source['text'])}{papers}</sub>",
        _text(_digits(result["predicted"])),
        f"{_measured(result['measured'])}<br><sub>{_text(result['definition'])}; study {result['study']}</sub>{figure}",
        _text(result["test"]),
        f"**{result['kind']}** {_text(result['verdict'].removeprefix(result['kind']))}".strip(),
    ]


def _measured(numbers: Sequence[dict[str, Any]]) -> str:
    """A line a metric: its mean and range over seeds, or over the entries of its list."""
    lines = []
    for name in dict.fromkeys(number["name"] for number in numbers):
        own = [number for number in numbers if number["name"] == name]
        low, high = (pick(number[key] for number in own) for pick, key in ((min, "min"), (max, "max")))
        seeds = f"{own[0]['seeds']} seed{'s' * (own[0]['seeds'] != 1)}" if own[0]["seeds"] else ""
        if len(own) > 1:
            word = own[0]["entry"].split()[0]
            text = f"{_digits(low)} to {_digits(high)}" if low != high else _digits(low)
            about = [f"{len(own)} {word}s", *([seeds] if seeds else [])]
        else:
            text = _digits(own[0]["mean"])
            about = [f"{_digits(low)} to {_digits(high)}"] if low != high else []
            about += [seeds] if seeds else []
        if len(own) == 1 and own[0]["predicted"] is not None:
            about.append(f"predicted {_digits(own[0]['predicted'])}")
        about_text = f" ({', '.join(about)})" if about else ""
        lines.append(f"{_text(name)}: {text}{about_text}" if name else f"{text}{about_text}")
    return "<br>".join(lines)


def _digits(value: str | float) -> str:
    return value if isinstance(value, str) else re.sub(r"e([-+])0", r"e\1", f"{value:.3g}")


def _text(text: str) -> str:
    """Text for a cell: one line, with nothing that ends the cell or starts HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
