"""What a run leaves to look at in Prefect's UI: a summary, the metrics, and where the report lies."""

from collections import Counter
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from dvc.fs import localfs
from dvc.utils.serialize import load_path
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from pipelines.dag import Dag
from pipelines.outcome import Kind, Outcome
from pipelines.run import Run


def counts(outcomes: Mapping[str, Outcome], of: int) -> str:
    """How many of the stages ended in which way: ``2 ran, 1 cached, 4 unchanged``."""
    numbers = Counter(result.kind for result in outcomes.values())
    parts = [f"{numbers[kind]} {kind.lower()}" for kind in Kind if numbers[kind]]
    parts += [f"{of - len(outcomes)} not run"] * (of > len(outcomes))
    return ", ".join(parts) or "no stages"


def publish(run: Run, plan: Dag) -> None:
    """Make the artifacts of a run of ``reproduce``; those with results only when all of them are up to date."""
    good = not any(result.kind.failed for result in run.outcomes.values())
    metrics, claims, page = (
        (metrics_table(plan), plan.output("claims.md"), plan.output("index.html")) if good else ([], None, None)
    )
    text = summary(plan, run.outcomes, metrics, claims)
    create_markdown_artifact(text, key="summary", description=f"What became of {run.folder.resolve().name}")
    if metrics:
        create_table_artifact(rounded(metrics), key="metrics", description=", ".join(plan.metrics))
    for result in run.outcomes.values():
        if result.tracked.startswith("http"):
            create_link_artifact(result.tracked, "Run in MLflow", key="mlflow-run")
    if page:
        create_link_artifact(page.as_uri(), "Interactive report", key="report")


def summary(plan: Dag, outcomes: Mapping[str, Outcome], metrics: list[dict[str, Any]], claims: Path | None) -> str:
    """The run in Markdown: stages with outcome and time, failures, metrics, claims where there are any."""
    stages = [
        {
            "stage": node.address,
            "outcome": outcomes[node.address].kind.value if node.address in outcomes else "not run",
            "seconds": f"{outcomes[node.address].seconds:.1f}" if node.address in outcomes else "",
        }
        for node in plan.nodes
    ]
    parts = [f"# {counts(outcomes, len(plan.nodes))}", markdown_table(stages)]
    failed = {address: result.line.replace("`", "'") for address, result in outcomes.items() if result.kind.failed}
    parts += [f"**{_cell(address)}**: `{line}`" for address, line in failed.items()]
    parts += [f"Tracked: {result.tracked}" for result in outcomes.values() if result.tracked]
    if metrics:
        parts += ["## Metrics", markdown_table(metrics)]
    if claims:
        parts += ["## Claims", claims.read_text(encoding="utf-8")]
    return "\n\n".join(parts) + "\n"


def metrics_table(plan: Dag) -> list[dict[str, Any]]:
    """One row a number of the metrics files, with a column for each of their sections (the variants)."""
    rows: dict[str, dict[str, Any]] = {}
    for file in plan.metrics:
        path = plan.root / file
        if not path.exists():  # of a stage that has not run
            continue
        for section, values in load_path(str(path), localfs).items():
            for name, value in flat(values if isinstance(values, Mapping) else {section: values}).items():
                rows.setdefault(name, {"metric": name})[section if isinstance(values, Mapping) else "value"] = value
    sections = dict.fromkeys(name for row in rows.values() for name in row)
    return [{name: row.get(name, "") for name in sections} for row in rows.values()]


def flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots. A list of seeds is told by its length: how many diverged; others are left out."""
    row: dict[str, Any] = {}
    for name, value in section.items():
        if isinstance(value, Mapping):
            row |= flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            row[f"{prefix}{name}"] = value
        elif all(isinstance(entry, Mapping) and "seed" in entry for entry in value):
            row[f"{prefix}{name}"] = len(value)
    return row


def rounded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same table with numbers that a person can read."""
    return [{k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """A table in Markdown, with the keys of the rows as its head."""
    head = list(rows[0])
    cells = [head, ["---"] * len(head), *([_cell(value) for value in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _cell(value: object) -> str:
    """A number in short, or text without what Markdown or HTML would take for its own."""
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value), quote=False).replace("|", "&#124;")
