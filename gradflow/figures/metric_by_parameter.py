"""metric_by_parameter: what becomes of each metric as a parameter changes; drawn by sweeps and studies."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_LOG_FROM = 50  # largest over smallest value, from which on an axis is logarithmic
_MOST_TICKS = 8
_MOST_COLUMNS = 5  # of panels beside names
_NAME = 100  # points that a name may be wide
_BAND = "#F4F4F4"  # behind every other row
_NUMBERS = ["mean", "min", "max"]
_GAP = " Where a point is missing, no seed has a number: all diverged, or a gradient of 0 has no logarithm."
_ABSENT = " Some were not trained with each value."


@matplotlib.rc_context(style.RC)
def draw(table: pd.DataFrame, parameter: str, experiment: Experiment) -> Figure | None:
    """A panel for each metric that is not the same everywhere, in it the mean and range over seeds of each variant.

    Variants are curves against the parameter; more than there are colours are rows, and the values of the parameter
    markers.

    Args:
        table: Columns variant, at (the value of the parameter: a number, or a text where not all are numbers), metric,
            mean, min, max.
        parameter: What was changed.
        experiment: Names the variants; the caption says what was not changed.

    Returns:
        None where all are the same.
    """
    different = table.groupby("metric", sort=False)["mean"].nunique()
    metrics = list(different[different > 1].index)
    if not metrics:
        return None
    of_metrics = {metric: table[table["metric"] == metric] for metric in metrics}
    numbers = pd.api.types.is_numeric_dtype(table["at"])
    found = dict.fromkeys(sorted(table["at"]) if numbers else table["at"])
    values = {value: f"{value:g}" if numbers else style.words(value, 20) for value in found}
    many = curves.are_too_many(experiment)
    figure, handles = (_rows if many else _curves)(of_metrics, values, parameter, experiment)
    lines = not many and numbers
    flat = any((shown["min"] == shown["max"]).all() for shown in of_metrics.values())
    notes = (
        f"{'Line' if lines else 'Marker'}: mean over seeds; {'band' if lines else 'bar'}: smallest to largest,"
        " of a share of seeds its interval of 95 % (Wilson)."
        f"{' A metric without either is one number for all seeds.' * flat}"
        f"{' Metrics that are the same everywhere are not drawn.' * (len(metrics) < len(different))}"
        f"{_GAP * _gaps(table)}"
        f"{_ABSENT * (len(table[['variant', 'at']].drop_duplicates()) < table['variant'].nunique() * len(values))}"
    )
    return style.finish(figure, experiment, f"Metrics by {parameter}", handles, notes)


def _curves(
    of_metrics: Mapping[str, pd.DataFrame], values: Mapping[Any, str], parameter: str, experiment: Experiment
) -> tuple[Figure, list[Artist]]:
    """Each metric against the parameter; and the legend."""
    columns = min(3, len(of_metrics))
    rows = -(-len(of_metrics) // columns)
    figure = Figure(figsize=(style.WIDTH, 1.9 * rows + 0.2), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    texts = [] if all(isinstance(value, int | float) for value in values) else list(values)
    zeros = False
    for place, (axes, (metric, shown)) in enumerate(zip(grid, of_metrics.items(), strict=False)):
        axes.set_title(_title(metric, 60 * style.WIDTH / columns), loc="left")
        if _is_logarithmic(shown):
            curves.log_axis(axes, shown[_NUMBERS].to_numpy(dtype=float).ravel())
        for variant in experiment.diverged:
            own = shown[shown["variant"] == variant]
            if texts:
                own = own.assign(at=own["at"].map(texts.index))
            if len(own):
                own = own.sort_values("at")
                spread = curves.Spread(*(own[name].to_numpy(dtype=float) for name in ("at", *_NUMBERS)))
                _variant(axes, spread, experiment, variant, apart=bool(texts))
                if axes.get_yscale() == "log":
                    zeros |= curves.zeros(axes, spread, experiment, variant)
        if place + columns >= len(of_metrics):
            axes.xaxis.set_tick_params(labelbottom=True)
            axes.set_xlabel(parameter, parse_math=False)
    for axes in grid[len(of_metrics) :]:
        axes.set_visible(False)
    _horizontal(grid[0], values, texts)
    return figure, curves.handles(experiment) + [curves.zero_handle()] * zeros


def _rows(
    of_metrics: Mapping[str, pd.DataFrame], values: Mapping[Any, str], parameter: str, experiment: Experiment
) -> tuple[Figure, list[Artist]]:
    """A row for each variant, in it a marker for each value of the parameter, below one another; and the legend."""
    columns = min(_MOST_COLUMNS, len(of_metrics))
    grids = -(-len(of_metrics) // columns)
    size = style.RC["ytick.labelsize"]
    names = [style.wrap(experiment.label(variant), size, _NAME) for variant in experiment.diverged]
    height = max(0.2, 0.05 + 0.125 * max(map(len, names)))  # inches
    figure = Figure(figsize=(style.WIDTH, grids * (height * len(names) + 0.65)), layout="constrained")
    panels = figure.subplots(grids, columns, sharey=True, squeeze=False).ravel()
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.8, len(values)))
    few = len(values) <= len(style.MARKERS)  # more are told by their colours alone, of which the legend names some
    looks: dict[Any, dict[str, Any]] = {
        value: {"color": colours[place], "marker": style.MARKERS[place if few else 0], "markersize": 4.5}
        for place, value in enumerate(values)
    }
    step = 0.7 / len(values)  # from one value to the next, where a row is 1
    shift = {value: step * (place - (len(values) - 1) / 2) for place, value in enumerate(values)}
    places = {variant: place for place, variant in enumerate(experiment.diverged)}
    zeros = False
    for axes, (metric, shown) in zip(panels, of_metrics.items(), strict=False):
        axes.set_title(_title(metric, 50 * style.WIDTH / columns), loc="left")
        if _is_logarithmic(shown):
            curves.log_axis(axes, shown[_NUMBERS].to_numpy(dtype=float).ravel(), horizontal=True, short=True)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
        for row in range(0, len(names), 2):
            axes.axhspan(row - 0.5, row + 0.5, color=_BAND, linewidth=0, zorder=0)
        axes.grid(visible=False, axis="y")
        axes.yaxis.set_tick_params(length=0)
        for value, look in looks.items():
            own = shown[shown["at"] == value]
            rows = own["variant"].map(places).to_numpy(dtype=float) + shift[value]
            mean, low, high = (own[name].to_numpy(dtype=float) for name in _NUMBERS)
            axes.hlines(rows, low, high, color=look["color"], alpha=0.5, linewidth=2)
            axes.plot(mean, rows, linestyle="", **look)
            if axes.get_xscale() == "log" and (mean == 0).any():
                zeros = True
                edge = {"marker": "<", "clip_on": False, "zorder": 5, "transform": axes.get_yaxis_transform()}
                axes.plot(mean[mean == 0], rows[mean == 0], linestyle="", **look | edge)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    panels[0].set_yticks(range(len(names)), ["\n".join(name) for name in names], parse_math=False)
    for axes in panels[len(of_metrics) :]:
        axes.set_visible(False)
    named = values if few else [list(values)[place] for place in np.linspace(0, len(values) - 1, 7).round().astype(int)]
    handles: list[Artist] = [
        Line2D([], [], linestyle="", label=f"{parameter} {values[value]}", **looks[value]) for value in named
    ]
    return figure, handles + [curves.zero_handle("<")] * zeros


def _title(metric: str, width: float) -> str:
    return "\n".join(style.wrap(metric, style.RC["axes.titlesize"], width))


def _gaps(table: pd.DataFrame) -> bool:
    """Whether a variant has no number of some metric at a value of the parameter at which it has others."""
    points = len(table[["variant", "at"]].drop_duplicates())
    return any(len(own) < points for _, own in table.groupby("metric"))


def _variant(axes: Axes, spread: curves.Spread, experiment: Experiment, variant: str, *, apart: bool) -> None:
    """The means and ranges of one variant; without lines where the values of the parameter have no order."""
    if apart:
        curves.points(axes, spread, experiment, variant, hollow=False)
    else:
        curves.curve(axes, spread, experiment, variant, layers=True)  # marked at each value


def _is_logarithmic(shown: pd.DataFrame) -> bool:
    positive = shown["mean"][shown["mean"] > 0]
    spans = len(positive) and positive.max() / positive.min() >= _LOG_FROM
    return bool(spans and shown[_NUMBERS].to_numpy(dtype=float).min() >= 0)


def _horizontal(axes: Axes, values: Mapping[Any, str], texts: list[str]) -> None:
    """The axis that all panels share: a tick at each value of the parameter unless they are too many."""
    if texts:
        axes.set_xlim(-0.5, len(texts) - 0.5)
        axes.xaxis.set_ticks(range(len(texts)), list(values.values()))
        return
    numbers = list(values)
    if numbers[0] > 0 and numbers[-1] / numbers[0] >= _LOG_FROM:
        axes.set_xscale("log")
    if len(numbers) <= _MOST_TICKS:
        axes.xaxis.set_ticks(numbers, list(values.values()))
        axes.xaxis.set_ticks([], minor=True)
