"""metric_by_parameter: what becomes of each metric as a parameter changes; drawn by sweeps, not by the pipeline."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_LOG_FROM = 50  # largest over smallest value, from which on an axis is logarithmic
_MOST_TICKS = 8
_GAP = " Where a point is missing, no seed has a number: all diverged, or a gradient of 0 has no logarithm."


@matplotlib.rc_context(style.RC)
def draw(table: pd.DataFrame, parameter: str, experiment: Experiment) -> Figure | None:
    """A panel for each metric that is not the same everywhere, in it a curve and range over seeds for each variant.

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
    columns = min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = Figure(figsize=(style.WIDTH, 1.9 * rows + 0.2), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    texts = [] if pd.api.types.is_numeric_dtype(table["at"]) else list(dict.fromkeys(table["at"]))
    zeros = False
    for place, (axes, metric) in enumerate(zip(grid, metrics, strict=False)):
        shown = table[table["metric"] == metric]
        axes.set_title(
            "\n".join(style.wrap(metric, style.RC["axes.titlesize"], 60 * style.WIDTH / columns)), loc="left"
        )
        _vertical(axes, shown)
        for variant in experiment.diverged:
            own = shown[shown["variant"] == variant]
            if texts:
                own = own.assign(at=own["at"].map(texts.index))
            if len(own):
                own = own.sort_values("at")
                spread = curves.Spread(*(own[name].to_numpy(dtype=float) for name in ("at", "mean", "min", "max")))
                _variant(axes, spread, experiment, variant, apart=bool(texts))
                if axes.get_yscale() == "log":
                    zeros |= curves.zeros(axes, spread, experiment, variant)
        if place + columns >= len(metrics):
            axes.xaxis.set_tick_params(labelbottom=True)
            axes.set_xlabel(parameter, parse_math=False)
    for axes in grid[len(metrics) :]:
        axes.set_visible(False)
    _horizontal(grid[0], table["at"], texts)
    notes = (
        f"{'Marker' if texts else 'Line'}: mean over seeds; {'bar' if texts else 'band'}: smallest to largest,"
        " of a share of seeds its interval of 95 % (Wilson)."
        " A metric without either is one number for all seeds. Metrics that are the same everywhere are not drawn."
        f"{_GAP if _gaps(table) else ''}"
    )
    handles = curves.handles(experiment) + [curves.zero_handle()] * zeros
    return style.finish(figure, experiment, f"Metrics by {parameter}", handles, notes)


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


def _vertical(axes: Axes, shown: pd.DataFrame) -> None:
    values = shown[["mean", "min", "max"]].to_numpy(dtype=float).ravel()
    positive = shown["mean"][shown["mean"] > 0]
    if values.min() >= 0 and len(positive) and positive.max() / positive.min() >= _LOG_FROM:
        curves.log_axis(axes, values)


def _horizontal(axes: Axes, at: "pd.Series[float]", texts: list[str]) -> None:
    """The axis that all panels share: a tick at each value of the parameter unless they are too many."""
    if texts:
        axes.set_xlim(-0.5, len(texts) - 0.5)
        axes.xaxis.set_ticks(range(len(texts)), [style.words(text, 20) for text in texts])
        return
    values = np.unique(at.to_numpy(dtype=float))
    if values[0] > 0 and values[-1] / values[0] >= _LOG_FROM:
        axes.set_xscale("log")
    if len(values) <= _MOST_TICKS:
        axes.xaxis.set_ticks(values, [f"{value:g}" for value in values])
        axes.xaxis.set_ticks([], minor=True)
