"""What a sweep found: its numbers by variant, to print and to draw."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradflow.analysis.spread import spreads
from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from gradflow.figures import metric_by_parameter
from pipelines.experiments import Point
from pipelines.outcome import Outcome

if TYPE_CHECKING:  # Optuna, which no grid needs
    from pipelines.search import Search

Metrics = Mapping[str, Mapping[str, Any]]

_LOG_FROM = 50  # largest over smallest value, from which on the metric's axis is logarithmic


def printed(
    points: Sequence[Point],
    outcomes: Mapping[str, Outcome],
    metrics: Metrics,
    marks: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """A table for a terminal: one row a point and variant, of the metrics their means over seeds.

    Args:
        points: The rows.
        outcomes: By the points' labels.
        metrics: By their names.
        marks: Likewise: further columns, the first ones.
    """
    rows = []
    for point in points:
        numbers = list(_numbers(metrics.get(point.name, {})))
        for variant in dict.fromkeys(number["variant"] for number in numbers) or [""]:
            means = {number["metric"]: number["mean"] for number in numbers if number["variant"] == variant}
            told = {"outcome": outcomes[point.label].kind.value, "variant": variant}
            rows.append(dict((marks or {}).get(point.name, {})) | point.values | told | means)
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


@matplotlib.rc_context(style.RC)
def searched(search: "Search", caption: str) -> Figure | None:
    """The metric of a search by trial, and against each key that was searched; the best trial is a star.

    Returns:
        None where no trial has a number.
    """
    numbered = dict(enumerate(search.trials.values(), 1))
    found = {number: (trial, trial.value) for number, trial in numbered.items() if trial.value is not None}
    lost = numbered.keys() - found.keys()
    if not found or not search.best:
        return None
    axes = [axis for axis in search.axes if not axis.range.single()]
    columns = min(3, 1 + len(axes))
    rows = -(-(1 + len(axes)) // columns)
    figure = Figure(figsize=(style.WIDTH, 1.9 * rows + 0.2), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    values = [value for _, value in found.values()]
    panels[0].step([*found], np.minimum.accumulate(values), where="post", color=style.GREY, linewidth=1)
    panels[0].set_xlabel("trial")
    places: list[Mapping[int, Any]] = [{number: number for number in numbered}]
    for panel, axis in zip(panels[1:], axes, strict=False):
        places.append({number: trial.values[axis.key] for number, trial in numbered.items()})
        panel.set_xlabel(axis.key, parse_math=False)
        if getattr(axis.range, "log", False):
            panel.set_xscale("log")
    for panel, at in zip(panels, places, strict=False):
        panel.plot([at[number] for number in found], values, "o", color=style.COLOURS[1], markersize=3.5, alpha=0.7)
        (star,) = (at[number] for number, (trial, _) in found.items() if trial == search.best)
        panel.plot([star], [search.best.value], "*", color=style.COLOURS[0], markersize=9, zorder=5)
        for number in lost:
            edge = {"clip_on": False, "transform": panel.get_xaxis_transform(), "in_layout": False}
            panel.plot([at[number]], [1], "x", color=style.DARK, markersize=4, **edge)
        if panel.get_xscale() == "linear" and all(isinstance(place, int) for place in at.values()):
            panel.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if min(values) > 0 and max(values) >= _LOG_FROM * min(values):
        panels[0].set_yscale("log")
    for panel in panels[::columns]:
        panel.set_ylabel(search.metric, parse_math=False)
    for panel in panels[1 + len(axes) :]:
        panel.set_visible(False)
    about = Experiment({"": 0}, 0, 0, {"": {}}, caption)
    notes = "Star: the best trial. Line: the best so far." + " Cross: diverged or failed." * bool(lost)
    return style.finish(figure, about, f"Search for a small {search.metric}", [], notes)


def _numbers(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each metric of each variant, with its mean, min and max over seeds: one and the same where it has no spread."""
    for section, content in metrics.items():
        variant, values = (section, content) if isinstance(content, Mapping) else ("", {section: content})
        for metric, numbers in spreads(values):
            yield {"variant": variant, "metric": metric} | numbers
