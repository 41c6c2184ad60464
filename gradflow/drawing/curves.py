"""Curves with the range over seeds, and the axes that they stand on."""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation, Transform
from numpy.typing import NDArray

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A quantity over the seeds: its median, smallest and largest value at each of ``at``, all (points,)."""

    at: Numbers
    median: Numbers
    low: Numbers
    high: Numbers


def over_seeds(table: pd.DataFrame, by: str, value: str) -> Spread:
    """The spread of column ``value`` over the rows, one a seed, with the same ``by``, in rising order of ``by``."""
    low, median, high = (table.groupby(by)[value].quantile(q) for q in (0.0, 0.5, 1.0))
    return Spread(*(part.to_numpy(dtype=float) for part in (median.index, median, low, high)))


def reading(experiment: Experiment) -> str:
    """How to read curves and points, in words."""
    text = "Line or marker: median over seeds; band or bar: smallest to largest."
    if experiment.seeds == 1:
        text = "One seed."
    return text + " A seed that diverged counts until then, and may leave the axes." * experiment.any_diverged()


def handles(experiment: Experiment) -> list[Artist]:
    """An entry of a legend for each variant."""
    return [
        Line2D(
            [],
            [],
            color=style.colour(experiment, variant),
            marker=style.marker(experiment, variant) if _again(experiment, variant) else "",
            markersize=4,
            linewidth=2.2,
            label=experiment.label(variant),
        )
        for variant in experiment.diverged
    ]


def are_too_many(experiment: Experiment) -> bool:
    """Whether the variants outnumber the colours, so that curves in one pair of axes are a knot: a panel each then."""
    return len(experiment.diverged) > len(style.COLOURS)


def panel(
    axes: Axes,
    experiment: Experiment,
    variant: str,
    solid: Mapping[str, Spread],
    dashed: Mapping[str, Spread],
    absent: str,
) -> None:
    """Draw two curves of one variant over one of each other of its depth, or say why there is nothing to see.

    Args:
        axes: Where, with limits.
        experiment: Gives the look of the variant.
        variant: Its name.
        solid: Variant to its main curve, which the others show in grey.
        dashed: Variant to its second curve.
        absent: What to say of a variant that has neither.
    """
    logarithmic = axes.get_yscale() == "log"
    for spread in (solid[other] for other in experiment.others(variant) if other in solid):
        line = np.where(spread.median > 0, spread.median, np.nan) if logarithmic else spread.median
        axes.plot(spread.at, line, color=style.LIGHT, linewidth=0.8, zorder=1, rasterized=True)
    own = [spreads[variant] for spreads in (dashed, solid) if variant in spreads]
    for spread in own:
        curve(axes, spread, experiment, variant, second=spread is dashed.get(variant), alone=True)
    if not own:
        say(axes, absent)
    elif all((spread.median > axes.get_ylim()[1]).all() for spread in own):
        say(axes, "above the axes")


def panel_handles(experiment: Experiment, solid: str, dashed: str) -> list[Artist]:
    """The entries of a legend for :func:`panel`: what the two lines are, and the grey ones."""
    others = "the other variants" if experiment.is_of_one_depth else "the other variants of this depth"
    return [
        Line2D([], [], color=style.DARK, linewidth=1.6, label=solid),
        Line2D([], [], color=style.DARK, linewidth=1.0, linestyle=style.DASHES, label=dashed),
        Line2D([], [], color=style.LIGHT, linewidth=0.8, label=f"{others}, {solid}"),
    ]


def curve(
    axes: Axes,
    spread: Spread,
    experiment: Experiment,
    variant: str,
    *,
    second: bool = False,
    layers: bool = False,
    alone: bool = False,
) -> None:
    """Draw the median as a line and smallest to largest as a band; a single point with a bar instead.

    Args:
        axes: Where; on a logarithmic axis the line has a gap where the median is 0.
        spread: The values.
        experiment: Gives the look of the variant.
        variant: Its name.
        second: The second of two quantities in the same axes: a thin dashed line with a fainter band.
        layers: The points are layers: mark each of them unless they are too many.
        alone: No other variant has a colour in these axes.
    """
    if len(spread.at) == 1:
        points(axes, spread, experiment, variant, hollow=second, alone=alone)
        return
    colour, again = style.colour(experiment, variant), not alone and _again(experiment, variant)
    mark = layers and experiment.depth <= 40 and len(experiment.diverged) <= 6
    # Many bands over one another must not hide the lines.
    band = 0.2 if alone else min(0.2, 0.5 / len(experiment.diverged))
    axes.fill_between(spread.at, spread.low, spread.high, color=colour, alpha=band / (1 + second), linewidth=0)
    axes.plot(
        spread.at,
        np.where(spread.median > 0, spread.median, np.nan) if axes.get_yscale() == "log" else spread.median,
        color=colour,
        linewidth=1.0 if second else 1.6,
        linestyle=style.DASHES if second else "-",
        marker=style.marker(experiment, variant) if mark or again else "",
        markersize=3.5 if again else 2.6,
        markevery=1 if mark else max(1, len(spread.at) // 6),
    )


def points(
    axes: Axes, spread: Spread, experiment: Experiment, variant: str, *, hollow: bool, alone: bool = False
) -> None:
    """Draw each median as a marker and smallest to largest as a bar."""
    colour = style.colour(experiment, variant)
    where = axes.transData if alone else beside(axes, axes.transData, experiment, variant)
    axes.vlines(spread.at, spread.low, spread.high, color=colour, alpha=0.35, linewidth=3, transform=where)
    axes.plot(
        spread.at,
        spread.median,
        color=colour,
        marker=style.marker(experiment, variant),
        markersize=4.5,
        markerfacecolor="white" if hollow else colour,
        markeredgewidth=1.1,
        linestyle="",
        transform=where,
    )
    # What is shifted on the page does not move the limits of its axes by itself.
    axes.update_datalim(np.column_stack([np.tile(spread.at, 2), np.concatenate([spread.low, spread.high])]))
    axes.autoscale_view()


def beside(axes: Axes, base: Transform, experiment: Experiment, variant: str) -> Transform:
    """``base``, shifted sideways by a few points on the page, so that equal points of variants are all seen."""
    variants = len(experiment.diverged)
    shift = (experiment.position(variant) - (variants - 1) / 2) * min(4.0, 14.0 / variants)
    figure = axes.get_figure(root=True)
    assert figure is not None
    return base + ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans)


def _again(experiment: Experiment, variant: str) -> bool:
    """Whether the colour alone does not tell the variant."""
    return experiment.position(variant) >= len(style.COLOURS)


def zeros(axes: Axes, spread: Spread, experiment: Experiment, variant: str, *, alone: bool = False) -> bool:
    """Mark medians of exactly 0, which have no logarithm, by triangles that point out of the axes at the lower edge.

    Those of later variants are smaller and lie on the others, so that all are seen where they belong, unless a variant
    is alone in its axes.

    Returns:
        Whether there are any.
    """
    at = spread.at[spread.median == 0]
    if not len(at):
        return False
    behind = 0 if alone else len(experiment.diverged) - 1 - experiment.position(variant)
    axes.plot(
        at,
        np.zeros(len(at)),
        transform=axes.get_xaxis_transform(),
        color=style.colour(experiment, variant),
        marker="v",
        linestyle="",
        markersize=3.5 + behind * min(2.0, 6 / len(experiment.diverged)),
        clip_on=False,
        zorder=5,
    )
    return True


def zero_handle(marker: str = "v") -> Artist:
    """The entry of a legend for :func:`zeros`."""
    label = "exactly 0 (underflow or dead units)"
    return Line2D([], [], color=style.GREY, marker=marker, linestyle="", markersize=5, label=label)


def to_show(table: pd.DataFrame, by: list[str], value: str, experiment: Experiment) -> Numbers:
    """What the limits of an axis must hold: all values, but of seeds that diverged only what is below a median.

    Their largest ones reach up to the largest number that there is, and would flatten all else; so would the medians
    of a variant that lost all its seeds, of which no more is held than a thousandfold of what the others reach.
    """
    medians = table.groupby(["variant", *by])[value].median()
    kept = experiment.surviving(table)[value]
    medians = medians[~(medians > 1000 * kept.max())]
    small = table[value][table[value] <= medians.max()]
    return np.concatenate([part.to_numpy(dtype=float) for part in (medians, small, kept)])


def log_axis(axes: Axes, values: Numbers, *, horizontal: bool = False, short: bool = False) -> None:
    """A logarithmic axis around the positive values, with a span of at least 4, so that noise does not look large.

    Args:
        axes: Whose y axis, or x axis if ``horizontal``.
        values: What it must hold.
        horizontal: The x axis.
        short: It has room for few ticks.
    """
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    room = max(1.15, (high / low) ** 0.05, math.sqrt(4 * low / high))
    low, high = low / room, high * room
    if horizontal:
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    log_ticks(axes.xaxis if horizontal else axes.yaxis, low, high, short=short)


def log_ticks(axis: Axis, low: float, high: float, *, short: bool = False) -> None:
    """Ticks of a logarithmic axis: 1, 2 and 5 over few decades of handy numbers, else powers of ten."""
    if low > 1e-3 and high < 1e4 and high / low < (20 if short else 1e3):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    elif high / low > 50:
        axis.set_minor_formatter(NullFormatter())


def layer_position(layer: int, depth: int) -> float:
    """Where a layer stands on an axis of layers: blocks at 1..depth, stem and head apart from them.

    The stem and the head have weights of other shapes, so their norms do not continue those of the blocks.
    """
    gap = max(1.0, 0.12 * depth)
    return {0: 1 - gap, depth + 1: depth + gap}.get(layer, float(layer))


def layer_ticks(depth: int) -> list[int]:
    """Round layer numbers to label, the first and the last block always among them."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if depth / s <= 5)
    return sorted({1, depth, *(tick for tick in range(step, depth, step) if 1 + step / 2 < tick < depth - step / 2)})


def layer_axis(axes: Axes, depth: int, *, ends: bool, vertical: bool = False) -> None:
    """Ticks and limits of an axis of layers, with stem and head if ``ends``."""
    blocks = layer_ticks(depth)
    layers = [0, *blocks, depth + 1] if ends else blocks
    names = {0: "stem", depth + 1: "head"}
    (axes.yaxis if vertical else axes.xaxis).set_ticks(
        [layer_position(layer, depth) for layer in layers], [names.get(layer, str(layer)) for layer in layers]
    )
    first, last = layer_position(layers[0], depth), layer_position(layers[-1], depth)
    margin = max(0.25, 0.05 * (last - first)) if last > first else 0.5
    (axes.set_ylim if vertical else axes.set_xlim)(first - margin, last + margin)


def epoch_axis(axes: Axes, epochs: int) -> None:
    """An axis of epochs from 1, whole numbers only."""
    if epochs == 1:
        axes.set_xlim(0.5, 1.5)
        axes.xaxis.set_major_locator(FixedLocator([1]))
    else:
        margin = min(0.9, 0.03 * (epochs - 1))  # less than 1: there is no epoch 0
        axes.set_xlim(1 - margin, epochs + margin)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=2))


def say(axes: Axes, text: str) -> None:
    """Write into the middle of axes that have nothing to show why that is so."""
    axes.text(
        0.5,
        0.5,
        textwrap.fill(text, 15),
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=style.DARK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 3},  # no grid line crosses the words
    )
