"""gradient_flow: how large the gradient of each layer is, in the first and in the last epoch."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterSciNotation
from numpy.typing import NDArray

from gradflow.figures import style

_THEORY = (0, (4, 2))


@matplotlib.rc_context(style.RC)
def draw(
    norms: pd.DataFrame, experiment: style.Experiment, *, theory: Mapping[str, float], vanished_below: float
) -> Figure:
    """Gradient norm by layer: median and range over seeds on a logarithmic axis.

    Args:
        norms: Columns variant, seed, epoch, layer, grad_norm, as in reports/gradient_norms.csv.
        experiment: What the figures share.
        theory: Variant to the factor of the gradient norm from a block to the one before it, for the
            variants that theory speaks of.
        vanished_below: Drawn as a line where it lies within the axes.
    """
    epochs = sorted({1, experiment.epochs})
    figure = Figure(figsize=(style.WIDTH, 3.1), layout="constrained")
    panels = figure.subplots(1, len(epochs), sharey=True, squeeze=False)[0]
    shown = norms[norms["epoch"].isin(epochs)]
    spreads = {
        (epoch, variant): style.over_seeds(rows, "layer", "grad_norm")
        for epoch in epochs
        for variant in experiment.diverged
        if len(rows := shown[(shown["epoch"] == epoch) & (shown["variant"] == variant)])
    }
    positive = shown["grad_norm"][shown["grad_norm"] > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1e-3, 1.0)
    panels[0].set_yscale("log")
    panels[0].set_ylim(low / 3, high * 3)

    underflow = False
    for axes, epoch in zip(panels, epochs, strict=True):
        style.layer_axis(axes, experiment.depth, ends=True)
        axes.set_xlabel("layer")
        axes.set_title(_when(epoch, experiment.epochs), loc="left")
        for variant in experiment.diverged:
            if (epoch, variant) in spreads:
                underflow |= _variant(axes, spreads[epoch, variant], experiment, variant)
        if not any((epoch, variant) in spreads for variant in experiment.diverged):
            style.say(axes, "all seeds of all variants have diverged")
    drawn = [
        variant
        for variant, factor in theory.items()
        if (1, variant) in spreads and _theory(panels[0], spreads[1, variant], factor)
    ]
    panels[0].set_ylabel("gradient norm ‖∂loss/∂W‖ (Frobenius)")
    if panels[0].get_ylim()[0] < vanished_below < panels[0].get_ylim()[1]:
        for axes in panels:
            axes.axhline(vanished_below, color=style.GREY, linewidth=0.9, linestyle=":")
        panels[-1].annotate(
            f"vanished\nbelow\n{LogFormatterSciNotation()(vanished_below)}",
            (1.01, vanished_below),
            xycoords=panels[-1].get_yaxis_transform(),
            va="center",
            color=style.GREY,
            fontsize=7.5,
        )

    handles = experiment.handles()
    if drawn:
        factors = sorted({f"{theory[variant]:.3g}" for variant in drawn})
        label = f"theory for plain blocks at initialisation: factor {', '.join(factors)} a block"
        handles.append(Line2D([], [], color=style.DARK, linewidth=1.1, linestyle=_THEORY, label=label))
    if underflow:
        handles.append(
            Line2D(
                [], [], color=style.GREY, marker="v", linestyle="", markersize=5, label="0: below what float32 holds"
            )
        )
    notes = (
        "Line or marker: median over seeds; band or bar: smallest to largest."
        " Norms are means over the steps of the epoch, before clipping."
    )
    if drawn:
        notes += (
            f" Dashed: slope √χ of ‖∂loss/∂z‖ from the variance of the weights (infinite width, zero biases),"
            f" set to the median at block {experiment.depth}; ‖∂loss/∂W‖ follows it"
            " where the activations keep their size."
        )
    if any(experiment.diverged.values()):
        notes += " A seed that diverged counts with its steps before that."
    return style.finish(figure, experiment, "Gradient norm by layer", handles, notes)


def _when(epoch: int, epochs: int) -> str:
    if epochs == 1:
        return "epoch 1, the only one"
    return "first epoch" if epoch == 1 else f"last epoch ({epochs})"


def _variant(axes: Axes, spread: style.Spread, experiment: style.Experiment, variant: str) -> bool:
    """Draw one variant in one epoch, layers stem to head; tell whether a norm is exactly 0."""
    depth, look = experiment.depth, experiment.look(variant)
    ends = np.array([0, depth + 1])
    at = np.array([style.layer_position(int(layer), depth) for layer in spread.at])
    style.curve(axes, _part(spread, at, slice(1, -1)), look, mark=depth <= 40)
    style.points(axes, _part(spread, at, ends), look, hollow=True)
    zero = at[spread.median == 0]
    if len(zero):
        axes.plot(
            zero,
            np.full(len(zero), 0.02),
            transform=axes.get_xaxis_transform(),
            color=look.colour,
            marker="v",
            linestyle="",
            markersize=4,
        )
    return bool(len(zero))


def _part(spread: style.Spread, at: style.Numbers, layers: slice | NDArray[np.int64]) -> style.Spread:
    return style.Spread(at[layers], spread.median[layers], spread.low[layers], spread.high[layers])


def _theory(axes: Axes, spread: style.Spread, factor: float) -> bool:
    """Draw the slope that theory gives through the last block; tell whether there is one to draw."""
    depth = len(spread.at) - 2
    anchor = spread.median[depth]
    if depth == 1 or anchor == 0:
        return False
    layers = np.array([1, depth])
    line = np.exp(np.log(anchor) + np.log(factor) * (depth - layers))
    axes.plot(layers, line, color=style.DARK, linewidth=1.1, linestyle=_THEORY, zorder=4)
    return True
