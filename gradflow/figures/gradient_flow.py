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

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_THEORY = (0, (4, 2))


@matplotlib.rc_context(style.RC)
def draw(
    norms: pd.DataFrame, experiment: Experiment, *, theory: Mapping[str, NDArray[np.float64]], vanished_below: float
) -> Figure:
    """Gradient norm by layer: median and range over seeds on a logarithmic axis.

    Args:
        norms: Columns variant, seed, epoch, layer, grad_norm, a row a layer; see
            :func:`gradflow.analysis.gradients.by_layer`.
        experiment: What the figures share.
        theory: Variant to the predicted norms (depth,) relative to the last block, for the variants that
            theory speaks of.
        vanished_below: Drawn as a line where it lies within the axes.
    """
    epochs = sorted({1, experiment.epochs})
    shown = norms[norms["epoch"].isin(epochs)]
    spreads = {
        (epoch, variant): curves.over_seeds(rows, "layer", "grad_norm")
        for epoch in epochs
        for variant in experiment.diverged
        if len(rows := shown[(shown["epoch"] == epoch) & (shown["variant"] == variant)])
    }
    figure = Figure(figsize=(style.WIDTH, 3.1), layout="constrained")
    panels = figure.subplots(1, len(epochs), sharey=True, squeeze=False)[0]
    curves.log_axis(panels[0], curves.to_show(shown, ["epoch", "layer"], "grad_norm", experiment))
    panels[0].set_ylabel("gradient norm ‖∂loss/∂W‖ (Frobenius)")
    for axes, epoch in zip(panels, epochs, strict=True):
        curves.layer_axis(axes, experiment.depth, ends=True)
        axes.set_xlabel("layer")
        axes.set_title("first epoch" if epoch == 1 else f"last epoch ({epoch})", loc="left")
        drawn = [variant for variant in experiment.diverged if (epoch, variant) in spreads]
        for variant in drawn:
            _variant(axes, spreads[epoch, variant], experiment, variant)
        if not drawn:
            curves.say(axes, "all seeds of all variants have diverged")
    if epochs == [1]:
        panels[0].set_title("the only epoch", loc="left")

    explained = [
        variant
        for variant, relative in theory.items()
        if (1, variant) in spreads and _theory(panels[0], spreads[1, variant], relative)
    ]
    low, high = panels[0].get_ylim()
    if low < vanished_below < high:
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

    handles = curves.handles(experiment)
    notes = f"{curves.reading(experiment)} Norms are means over the steps of the epoch, before clipping."
    if explained:
        label = "theory for plain blocks at initialisation"
        handles.append(Line2D([], [], color=style.DARK, linewidth=1.1, linestyle=_THEORY, label=label))
        notes += (
            " Dashed: from the variances of weights and biases alone, for infinite width and rows that are unrelated,"
            f" set to the median at {_last_block(experiment)}."
        )
    if any((spread.median == 0).any() for spread in spreads.values()):
        label = "exactly 0 (underflow or dead units)"
        handles.append(Line2D([], [], color=style.GREY, marker="v", linestyle="", markersize=5, label=label))
    return style.finish(figure, experiment, "Gradient norm by layer", handles, notes)


def _variant(axes: Axes, spread: curves.Spread, experiment: Experiment, variant: str) -> None:
    """Draw one variant in one epoch, from stem to head; a median of 0 as a mark on the lower edge."""
    head = experiment.depths[variant] + 1
    layers = [experiment.depth + 1 if layer == head else int(layer) for layer in spread.at]  # all heads in one place
    at = np.array([curves.layer_position(layer, experiment.depth) for layer in layers])
    curves.curve(axes, _part(spread, at, slice(1, -1)), experiment, variant, layers=True)
    curves.points(axes, _part(spread, at, np.array([0, head])), experiment, variant, hollow=True)
    zero = at[spread.median == 0]
    if len(zero):
        axes.plot(
            zero,
            np.full(len(zero), 0.02),
            transform=axes.get_xaxis_transform(),
            color=style.colour(experiment, variant),
            marker="v",
            linestyle="",
            markersize=4,
        )


def _last_block(experiment: Experiment) -> str:
    depths = set(experiment.depths.values())
    return f"block {depths.pop()}" if len(depths) == 1 else "the last block"


def _part(spread: curves.Spread, at: curves.Numbers, layers: slice | NDArray[np.int64]) -> curves.Spread:
    return curves.Spread(at[layers], spread.median[layers], spread.low[layers], spread.high[layers])


def _theory(axes: Axes, spread: curves.Spread, relative: NDArray[np.float64]) -> bool:
    """Draw what theory gives through the last block; tell whether there is something to draw."""
    depth = len(spread.at) - 2
    anchor = spread.median[depth]
    if depth == 1 or anchor == 0:
        return False
    axes.plot(np.arange(1, depth + 1), anchor * relative, color=style.DARK, linewidth=1.1, linestyle=_THEORY, zorder=4)
    return True
