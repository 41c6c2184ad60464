"""All claims with their numbers and verdicts, as JSON holds them and as a page in Markdown."""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from gradflow.guards.errors import RunError
from gradflow.ledger import measured
from gradflow.ledger.claims import Chapter, Claim, Ledger, Measure
from gradflow.ledger.verdict import FAILS, HOLDS, PARTLY, judge
from gradflow.params import reading


def evaluate(ledger: Ledger, root: Path) -> list[dict[str, Any]]:
    """Each claim with what was measured and the verdict, in the order of the ledger.

    Args:
        ledger: The claims.
        root: The folder of the recipe and of studies/, each with a params.yaml, metrics and figures.

    Raises:
        RunError: A metrics file, a number or a figure is missing; names file and key.
    """
    metrics = cache(measured.metrics)
    return [
        _evaluate(key, claim, chapter, ledger, root, metrics)
        for chapter in ledger.chapters.values()
        for key, claim in chapter.claims.items()
    ]


def _evaluate(
    key: str, claim: Claim, chapter: Chapter, ledger: Ledger, root: Path, metrics: Callable[[Path], Any]
) -> dict[str, Any]:
    if claim.figure and not (root / claim.figure).is_file():
        raise RunError(f"{root / claim.figure}: no such figure, which claim {key} shows; run `dvc repro` to draw it")
    try:
        numbers = measured.read(claim, root, metrics)
        definition = _with_parameters(claim.measure, root)
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
        "definition": definition,
        "over": claim.test.over,
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
                "trained": number.trained,
                "predicted": number.predicted,
                "holds": holds,
            }
            for number, holds in zip(numbers, verdict.holds, strict=True)
        ],
        "kind": verdict.kind,
        "verdict": str(verdict),
        "figure": claim.figure and Path(os.path.relpath(claim.figure, "reports")).as_posix(),
        "note": claim.note,
    }


def _with_parameters(measure: Measure, root: Path) -> str:
    """The definition with the values that its study has run with for ``{train.epochs}`` and its like."""
    file = measured.folder_of(measure.study, root) / "params.yaml"

    def value(key: re.Match[str]) -> str:
        found: Any = reading.read(file)
        for part in key[1].split("."):
            if not isinstance(found, dict) or part not in found:
                raise RunError(f"{file}: {key[1]}: is missing, which a definition names")
            found = found[part]
        return _digits(found) if isinstance(found, float) else str(found)

    return re.sub(r"\{([a-z0-9_.]+)\}", value, measure.definition)


def markdown(results: Sequence[dict[str, Any]]) -> str:
    """A page with a table a chapter; links are seen from reports/."""
    kinds = Counter(result["kind"] for result in results)
    counts = ", ".join(
        f"{kinds[kind]} {words}" for kind, words in ((HOLDS, "hold"), (FAILS, "do not"), (PARTLY, "hold in part"))
    )
    lines = [
        "# Claims",
        "",
        f"{len(results)} claims: {counts}. Each verdict follows from the numbers alone:"
        " `studies/ledger/claims.yaml` says what is measured and when a claim holds, `claims.json` has every number.",
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
    about = f"{_text(result['definition'])}; study {result['study']}"
    return [
        f"{_text(result['claim'])}<br><sub>`{result['id']}` · {_text(source['text'])}{papers}</sub>",
        _text(_digits(result["predicted"])),
        f"{_measured(result['measured'], result['over'])}<br><sub>{about}</sub>{figure}",
        _text(result["test"]),
        f"**{result['kind']}** {_text(result['verdict'].removeprefix(result['kind']))}".strip(),
    ]


def _measured(numbers: Sequence[dict[str, Any]], over: str) -> str:
    """A line a metric: its mean and range over seeds, or over the entries of its list; of what the test looks at."""
    lines = []
    for name in dict.fromkeys(number["name"] for number in numbers):
        own = [number for number in numbers if number["name"] == name]
        extremes = ("min", "max") if len(own) == 1 or over == "each seed" else ("mean", "mean")
        low, high = (pick(number[key] for number in own) for pick, key in zip((min, max), extremes, strict=True))
        seeds = _seeds(own[0])
        if len(own) > 1:
            word = own[0]["entry"].split()[0]
            text = f"{_digits(low)} to {_digits(high)}" if low != high else _digits(low)
            if over == "span" and low:
                text += f", a factor of {_digits(high / low)}"
            about = [f"{'means of ' * (extremes[0] == 'mean')}{len(own)} {word}s", *([seeds] if seeds else [])]
        else:
            text = _digits(own[0]["mean"])
            about = [f"{_digits(low)} to {_digits(high)}"] if low != high else []
            about += [seeds] if seeds else []
        if len(own) == 1 and own[0]["predicted"] is not None:
            about.append(f"predicted {_digits(own[0]['predicted'])}")
        about_text = f" ({', '.join(about)})" if about else ""
        lines.append(f"{_text(name)}: {text}{about_text}" if name else f"{text}{about_text}")
    return "<br>".join(lines)


def _seeds(number: Mapping[str, Any]) -> str:
    """How many seeds stand behind a number; of how many, if some have none."""
    seeds, trained = number["seeds"], number["trained"]
    if seeds is None:
        return ""
    lost = trained is not None and seeds < trained
    return f"{seeds} of {trained} seeds" if lost else f"{seeds} seed{'s' * (seeds != 1)}"


def _digits(value: str | float) -> str:
    return value if isinstance(value, str) else re.sub(r"e([-+])0", r"e\1", f"{value:.3g}")


def _text(text: str) -> str:
    """Text for a cell: one line, with nothing that ends the cell or starts HTML."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
