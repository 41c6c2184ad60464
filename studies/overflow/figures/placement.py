"""placement: stream and gradients against the depth, and from which weights on a precision overflows."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_THEORY = (0, (4, 2))

# Column of studies/overflow/reports/depths.csv to the title of its panel
_BY_DEPTH = {
    "variance": "variance of the last stream",
    "gradient_ratio": "gradient at the first stream\nover that at the last",
    "gradient_span": "‖∂loss/∂W‖ of the blocks\nlargest over smallest",
}


@matplotlib.rc_context(style.RC)
def draw(depths: pd.DataFrame, scaled: pd.DataFrame, decades: float, experiment: Experiment) -> Figure:
    """Three quantities by depth with theory where there is one, and the factors that each precision bears.

    Args:
        depths: Columns variant, seed, depth, variance, gradient_ratio, gradient_span and the first two again with
            ``_theory``, as in studies/overflow/reports/depths.csv.
        scaled: Columns variant, seed, precision, overflow, block, zero_gradient, as in
            studies/overflow/reports/scaled.csv.
        decades: log10 of the largest factor tried.
        experiment: What the figures share.
    """
    rows = 0.5 + 0.24 * len(experiment.diverged)
    figure = Figure(figsize=(style.WIDTH, 3.1 + rows), layout="constrained")
    by_depth, by_precision = figure.subplots(2, 3, height_ratios=(2.2, rows))
    precisions = list(scaled["precision"].unique())
    theory = False
    for axes, (column, title) in zip(by_depth, _BY_DEPTH.items(), strict=True):
        axes.set_title(title, loc="left")
        axes.set_xlabel("depth (blocks)")
        theory |= _by_depth(axes, depths, column, experiment)
    for place, (axes, precision) in enumerate(zip(by_precision, precisions, strict=False)):
        axes.set_title(f"{precision}: overflow", loc="left")
        axes.set_xlabel("factor on the first maps, log10")
        _factors(axes, scaled[scaled["precision"] == precision], decades, experiment)
        if place:
            axes.yaxis.set_tick_params(labelleft=False)
    for axes in by_precision[len(precisions) :]:
        axes.set_visible(False)

    handles = curves.handles(experiment)
    if theory:
        handles.append(Line2D([], [], color=style.DARK, linewidth=1.1, linestyle=_THEORY, label="theory"))
    notes = (
        f"{curves.reading(experiment)} Above: float32, blocks alone; gradients are Frobenius norms, all maps of a block"
        f" taken together. Below: networks of {experiment.depth} blocks with stem and head in one forward and backward"
        " pass, the first map of each branch multiplied by a factor; filled: the smallest with which a number is not"
        " finite, and the first block with one."
    )
    if scaled["zero_gradient"].notna().any():
        notes += (
            " Hollow: the smallest with which the gradient of a block's first map is exactly 0, as it is where the"
            " variance inside a norm overflows, in float32, and the norm gives 0."
        )
    if scaled["overflow"].isna().any():
        notes += f" Where there is no filled marker, nothing overflows up to 10^{decades:g}."
    return style.finish(figure, experiment, "Where the norm stands: stream, gradients, overflow", handles, notes)


def _by_depth(axes: Axes, depths: pd.DataFrame, column: str, experiment: Experiment) -> bool:
    """Draw one quantity of all variants; tell whether theory has a line for it."""
    axes.set_xscale("log", base=2)
    ticks = sorted(depths["depth"].unique())
    axes.xaxis.set_ticks(ticks, [f"{depth}" for depth in ticks])
    axes.xaxis.set_ticks([], minor=True)
    rows = depths.dropna(subset=column)
    curves.log_axis(axes, curves.to_show(rows, ["depth"], column, experiment))
    theory = False
    for variant in experiment.diverged:
        own = rows[rows["variant"] == variant]
        if own.empty:
            continue
        curves.curve(axes, curves.over_seeds(own, "depth", column), experiment, variant)
        if f"{column}_theory" in own:
            line = own.groupby("depth")[f"{column}_theory"].first().dropna()
            theory |= len(line) > 0
            colour = 0.55 * np.array(matplotlib.colors.to_rgb(style.colour(experiment, variant)))
            at, predicted = (values.to_numpy(dtype=float) for values in (line.index, line))
            axes.plot(at, predicted, color=tuple(colour), linewidth=1.0, linestyle=_THEORY, zorder=4)
    return theory


def _factors(axes: Axes, scaled: pd.DataFrame, decades: float, experiment: Experiment) -> None:
    """A row a variant, from the first one at the top: medians as markers, smallest to largest as bars."""
    variants = list(experiment.diverged)
    axes.set_ylim(len(variants) - 0.4, -0.6)
    axes.yaxis.set_ticks(range(len(variants)), variants)
    for row, variant in enumerate(variants):
        own, colour = scaled[scaled["variant"] == variant], style.colour(experiment, variant)
        for column, inside in (("zero_gradient", "white"), ("overflow", colour)):
            values = own[column].dropna()
            if len(values):
                axes.hlines(row, values.min(), values.max(), color=colour, alpha=0.35, linewidth=5)
                axes.plot(values.median(), row, "o", color=colour, markerfacecolor=inside, markersize=5, zorder=3)
        blocks = own["block"].dropna()
        if len(blocks):
            low, high = int(blocks.min()), int(blocks.max())
            text = f"block {low}" if low == high else f"blocks {low} to {high}"
            axes.annotate(
                text, (own["overflow"].max(), row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=7
            )
    most = max(1.0, scaled[["overflow", "zero_gradient"]].max().max())  # of nan, where nothing fails, 1
    axes.set_xlim(-0.05 * most, 1.6 * most)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
