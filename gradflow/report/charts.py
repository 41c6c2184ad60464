"""Charts of the page, as Vega-Lite specifications whose colours are the variables of its style sheet.

A specification that the script fills has its rows under the name ``rows``; the others carry their own.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment
from gradflow.report.evolution import Evolution

DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])  # one for each round through the colours

# Without any padding, rounding may place the first cell before the axis, and Vega then drops its label.
_GAPLESS: Any = {"paddingInner": 0.0, "paddingOuter": 0.01}

_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "padding": 2,
    "font": "system-ui, sans-serif",  # as in style.css, by its name: Vega measures text with it
    "view": {"stroke": None},
    "axis": {
        "domainColor": "var(--axis)",
        "gridColor": "var(--grid)",
        "labelColor": "var(--ink)",
        "labelFontSize": 12,
        "tickColor": "var(--axis)",
        "titleColor": "var(--ink)",
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
}


def by_layer(evolution: Evolution, experiment: Experiment, label: str) -> dict[str, Any]:
    """Curves over the layers, at a time that the script chooses: median, range, exact zeros, stem and head apart.

    Each of the script's rows has variant, layer, at (place on the axis), end (stem or head), median, low, high,
    and zero, which is where a median of exactly 0 is marked.
    """
    rows = alt.Chart(alt.NamedData(name="rows"))
    depth = experiment.depth
    blocks, ends = "!datum.end", "datum.end"
    shown = [0, *curves.layer_ticks(depth), depth + 1] if 0 in evolution.layers else curves.layer_ticks(depth)
    places = [curves.layer_position(layer, depth) for layer in shown]
    margin = max(0.3, 0.03 * depth)
    x = alt.X(
        "at:Q",
        title="layer",
        scale=alt.Scale(domain=[places[0] - margin, places[-1] + margin], nice=False, zero=False),
        axis=alt.Axis(
            values=places,
            labelExpr=f"datum.value < 1 ? 'stem' : datum.value > {depth} ? 'head' : format(datum.value, 'd')",
            grid=False,
        ),
    )
    y = log_axis("median", label, evolution.limits)
    colour, dash = variant_colour(experiment), variant_dash(experiment)
    tooltip = [
        alt.Tooltip("variant:N"),
        alt.Tooltip("layer:Q"),
        *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("median", "low", "high")),
    ]
    quiet: Any = {"clip": True, "aria": False}
    band = rows.transform_filter(blocks).mark_area(opacity=band_opacity(experiment), **quiet)
    line = rows.transform_filter(blocks).mark_line(strokeWidth=2, **quiet)
    dots = rows.transform_filter(blocks).mark_circle(size=26, opacity=1, **quiet)
    bars = rows.transform_filter(ends).mark_rule(strokeWidth=4, opacity=0.4, **quiet)
    rings = rows.transform_filter(ends).mark_point(size=45, strokeWidth=1.6, fill="var(--paper)", opacity=1, **quiet)
    zeros = rows.transform_filter("datum.zero !== null").mark_point(
        shape="triangle-down", filled=True, size=60, **quiet
    )
    return finished(
        band.encode(x, y=log_axis("low", label, evolution.limits), y2="high:Q", color=colour),
        line.encode(x, y, color=colour, strokeDash=dash),
        dots.encode(x, y, color=colour, tooltip=tooltip),
        bars.encode(x, y=log_axis("low", label, evolution.limits), y2="high:Q", color=colour),
        rings.encode(x, y, color=colour, tooltip=tooltip),
        zeros.encode(x, y=log_axis("zero", label, evolution.limits), color=colour, tooltip=tooltip),
        height=340,
        description=f"{label} by layer, a curve a variant",
    )


def heatmap(evolution: Evolution, experiment: Experiment, label: str, time: str) -> dict[str, Any]:
    """Layer by time, the median as colour; the script's rows have time, layer, value, and now marks the slider."""
    depth, steps = experiment.depth, evolution.times
    ticks = _labelled(steps, 6)
    shown = curves.layer_ticks(depth)
    if 0 in evolution.layers:  # their labels take the place of the first and the last block's
        shown = [0, *shown[1:-1], depth + 1]
    x = alt.X(
        "time:O",
        title=time,
        scale=alt.Scale(domain=steps, **_GAPLESS),
        axis=alt.Axis(values=ticks, labelAngle=0, labelOverlap=False, ticks=False),
    )
    y = alt.Y(
        "layer:O",
        title="layer",
        scale=alt.Scale(domain=evolution.layers[::-1], **_GAPLESS),
        axis=alt.Axis(
            values=shown,
            labelExpr=f"datum.value == 0 ? 'stem' : datum.value == {depth + 1} ? 'head' : datum.label",
            ticks=False,
            labelOverlap=False,
        ),
    )
    low, high = evolution.limits
    colour = alt.condition(
        "datum.value > 0",
        alt.Color(
            "value:Q", scale=alt.Scale(type="log", domain=[low, max(high, 10 * low)], scheme="viridis", clamp=True)
        ).legend(None),
        alt.value("var(--zero)"),
    )
    rows = alt.Chart(alt.NamedData(name="rows"))
    cells = rows.mark_rect(aria=False, strokeWidth=0).encode(
        x,
        y,
        color=colour,
        tooltip=[
            alt.Tooltip("time:O", title=time),
            alt.Tooltip("layer:O"),
            alt.Tooltip("value:Q", title="median", format=".3~g"),
        ],
    )
    now = alt.Chart(alt.NamedData(name="now")).mark_rule(color="var(--mark)", strokeWidth=1.5, aria=False).encode(x)
    return finished(cells, now, height=200, description=f"{label} by layer and {time}, as colour")


def over_time(
    table: pd.DataFrame, time: str, columns: Mapping[str, str], label: str, experiment: Experiment, *, log: bool
) -> dict[str, Any]:
    """Median and range over the seeds of one or two columns (column to its name), by time; the second is dashed."""
    parts = []
    for name, kind in columns.items():
        groups = table.groupby(["variant", time])[name]
        spread = groups.agg(low="min", median="median", high="max").reset_index()
        parts.append(spread.assign(kind=kind))
    rows = _thin(pd.concat(parts), time)
    for name in ("low", "median", "high"):
        rows[name] = [float(f"{value:.4g}") for value in rows[name]]
    kept = experiment.surviving(table)[list(columns)].to_numpy(dtype=float).ravel()
    values = [*rows["median"], *kept]
    if log:
        positive = [value for value in values if value > 0]
        limits = (float(min(positive, default=0.1)), float(max(positive, default=1.0)))
        rows = rows[rows["median"] > 0].assign(low=rows["low"].clip(lower=limits[0] / 2))  # 0 has no logarithm
        axis = {name: log_axis(name, label, limits) for name in ("low", "median")}
    else:
        scale = alt.Scale(domain=[min([0.45, *values]) - 0.03, 1.02], nice=False)
        axis = {name: alt.Y(f"{name}:Q", title=label, scale=scale) for name in ("low", "median")}
    first, last = (int(rows[time].min()), int(rows[time].max())) if len(rows) else (1, 1)
    x = alt.X(
        f"{time}:Q",
        title=time,
        scale=alt.Scale(domain=[first, max(last, first + 1)], nice=False),
        axis=alt.Axis(grid=False, format="d", tickMinStep=1),
    )
    records: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]
    chart, colour = alt.Chart(alt.InlineData(values=records)), variant_colour(experiment)
    kinds = list(columns.values())
    dash = alt.StrokeDash("kind:N", scale=alt.Scale(domain=kinds, range=[[1, 0], [5, 3]][: len(kinds)]), legend=None)
    tooltip = [
        alt.Tooltip("variant:N"),
        alt.Tooltip(f"{time}:Q"),
        *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("median", "low", "high")),
    ]
    band = chart.transform_filter(alt.datum.kind == kinds[0]).mark_area(
        opacity=band_opacity(experiment), clip=True, aria=False
    )
    line = chart.mark_line(clip=True, aria=False)
    dots = chart.mark_circle(size=60, opacity=0 if last > first else 1, aria=False, clip=True)  # what a pointer finds
    return finished(
        band.encode(x, axis["low"], y2="high:Q", color=colour),
        line.encode(x, axis["median"], color=colour, strokeDash=dash),
        dots.encode(x, axis["median"], color=colour, tooltip=tooltip),
        height=260,
        description=f"{label} by {time}, a curve a variant",
    )


def variant_colour(experiment: Experiment) -> alt.Color:
    """The colour of a variant, from its position: the same in each chart and each figure."""
    names = list(experiment.diverged)
    colours = [f"var(--variant-{place % len(style.COLOURS)})" for place in range(len(names))]
    return alt.Color("variant:N", scale=alt.Scale(domain=names, range=colours), legend=None)


def variant_dash(experiment: Experiment) -> alt.StrokeDash:
    """Solid lines, and other dashes in each further round through the colours."""
    names = list(experiment.diverged)
    dashes = [DASHES[place // len(style.COLOURS) % len(DASHES)] for place in range(len(names))]
    return alt.StrokeDash("variant:N", scale=alt.Scale(domain=names, range=dashes), legend=None)


def band_opacity(experiment: Experiment) -> float:
    """Many bands over one another must not hide the lines."""
    return min(0.2, 0.5 / len(experiment.diverged))


def log_axis(column: str, label: str, limits: tuple[float, float]) -> alt.Y:
    """A logarithmic y axis around the limits, with a span of at least 4, so that noise does not look large."""
    low, high = floor_and_top(limits)
    return alt.Y(
        f"{column}:Q",
        title=label,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=log_ticks(low, high), format="~g" if low > 1e-3 and high < 1e4 else "~e"),
    )


def place(layer: int, experiment: Experiment) -> float:
    """Where a layer stands on the axis of :func:`by_layer`."""
    return curves.layer_position(layer, experiment.depth)


def floor_and_top(limits: tuple[float, float]) -> tuple[float, float]:
    """Ends of a logarithmic axis that holds the limits."""
    low, high = limits
    decades = math.log10(high) - math.log10(low)  # their ratio may be larger than any number
    room = 10 ** max(math.log10(1.15), min(decades / 20, 3), (math.log10(4) - decades) / 2)
    return low / room, high * room


def zero_mark(limits: tuple[float, float]) -> float:
    """Where on a logarithmic axis a value of exactly 0 is marked: just above its lower end."""
    low, high = floor_and_top(limits)
    return float(10 ** (0.98 * math.log10(low) + 0.02 * math.log10(high)))


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis, at most some eight: 1, 2 and 5 over few decades, else powers of ten."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = max(1, math.ceil((last - first) / 8))
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [float(f"{factor}e{power}") for power in range(first - first % step, last + 1, step) for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]


def _labelled(points: Sequence[int], most: int) -> list[int]:
    """At most ``most`` points to label, the first and the last among them."""
    step = max(1, math.ceil((len(points) - 1) / (most - 1)))
    inner = [
        point for place, point in enumerate(points[:-1]) if place % step == 0 and place + step / 2 < len(points) - 1
    ]
    return [*inner, points[-1]]


def _thin(rows: pd.DataFrame, time: str) -> pd.DataFrame:
    """At most some 200 times, the first and the last among them."""
    times = sorted(rows[time].unique())
    step = max(1, -(-len(times) // 200))
    return rows[rows[time].isin({*times[::step], *times[-1:]})].copy()


def finished(*layered: alt.Chart, height: int, description: str) -> dict[str, Any]:
    """Layers as one chart as wide as its place, that tall, in the look of the page."""
    chart = alt.layer(*layered).properties(
        width="container",
        height=height,
        description=description,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding", resize=True),
    )
    specification: dict[str, Any] = chart.configure(**_CONFIG).to_dict()
    return specification
