"""What a sweep found: its numbers by variant, to print and to draw."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from gradflow.analysis.spread import spreads
from gradflow.drawing.experiment import Experiment
from gradflow.figures import metric_by_parameter
from pipelines.experiments import Point
from pipelines.outcome import Outcome

Metrics = Mapping[str, Mapping[str, Any]]


def printed(points: Sequence[Point], outcomes: Mapping[str, Outcome], metrics: Metrics) -> str:
    """A table for a terminal: one row a point and variant, of the metrics their means over seeds."""
    rows = []
    for point in points:
        numbers = list(_numbers(metrics.get(point.name, {})))
        for variant in dict.fromkeys(number["variant"] for number in numbers) or [""]:
            means = {number["metric"]: number["mean"] for number in numbers if number["variant"] == variant}
            rows.append(point.values | {"outcome": outcomes[point.label].kind.value, "variant": variant} | means)
    return pd.DataFrame(rows).to_string(index=False, na_rep="", float_format="{:.4g}".format)


def drawn(points: Sequence[Point], metrics: Metrics, caption: str) -> Figure | None:
    """The metrics against the first parameter that has several values, a curve for each combination of the others.

    Args:
        points: Of the sweep.
        metrics: Name of a point to its metrics; a point that failed is missing.
        caption: What the figure is about.

    Returns:
        None where there is nothing to compare.
    """
    several = [key for key in points[0].values if len({point.values[key] for point in points}) > 1]
    if not several:
        return None
    parameter, *others = several
    rows = []
    for point in points:
        combination = [f"{key.rpartition('.')[2]}={point.values[key]}" for key in others]
        for number in _numbers(metrics.get(point.name, {})):
            curve = ", ".join(filter(None, [number["variant"], *combination])) or "all"
            rows.append(number | {"variant": curve, "at": point.values[parameter]})
    if not rows:
        return None
    table = pd.DataFrame(rows)
    at = pd.to_numeric(table["at"], errors="coerce")
    if at.notna().all() and parameter.rpartition(".")[2] != "seed":  # seeds are names: nothing lies between two
        table["at"] = at
    curves = list(dict.fromkeys(table["variant"]))
    about = Experiment(dict.fromkeys(curves, 0), 0, 0, {name: {} for name in curves}, caption)
    return metric_by_parameter.draw(table, parameter, about)


def _numbers(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each metric of each variant, with its mean, min and max over seeds: one and the same where it has no spread."""
    for section, content in metrics.items():
        variant, values = (section, content) if isinstance(content, Mapping) else ("", {section: content})
        for metric, numbers in spreads(values):
            yield {"variant": variant, "metric": metric} | numbers
