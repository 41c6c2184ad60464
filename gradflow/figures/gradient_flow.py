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

_Dashes = tuple[float, tuple[float, ...]]
_THEORY: _Dashes = (0, (4, 2))
_DOTTED: _Dashes = (0, (1, 1.5))


@matplotlib.rc_context(style.RC)
def draw(
    norms: pd.DataFrame,
    experiment: Experiment,
    *,
    theory: Mapping[str, NDArray[np.float64]],
    vanished_below: float,
    losses: Mapping[str, float | None],
) -> Figure:
    """Gradient norm by layer: median and range over seeds on a logarithmic axis.

    Args:
        norms: Columns variant, seed, epoch, layer, grad_norm, a row a layer; see
            :func:`gradflow.analysis.gradients.by_layer`.
        experiment: What the figures share.
        theory: Variant to the predicted norms (depth,) relative to the last block, for the variants that
            theory speaks of.
        vanished_below: Drawn as a line where it lies within the axes.
        losses: Train loss at the end, mean over seeds, which tells vanished gradients from those of a solved task.
    """
    epochs = sorted({1, experiment.epochs})
    shown = norms[norms["epoch"].isin(epochs)]
    spreads = {
        (epoch, variant): curves.over_seeds(rows, "layer", "grad_norm")
        for epoch in epochs
        for variant in experiment.diverged
        if len(rows := shown[(shown["epoch"] == epoch) & (shown["variant"] == variant)])
    }
    notes = f"{curves.reading(experiment)} Norms are means over the steps of the epoch, before clipping."
    small = {
        variant: f"{losses[variant]:.2g}"
        for (epoch, variant), spread in spreads.items()
        if epoch == epochs[-1] and losses.get(variant) is not None and (spread.median[1:-1] < vanished_below).any()
    }
    many = curves.are_too_many(experiment)
    if small:
        said = "see the train loss" if many else "train loss at the end"
        named = "" if many else ": " + ", ".join(f"{variant} {loss}" for variant, loss in small.items())
        notes += f" Gradients are small, too, where a task is solved; {said}{named}."
    if many:
        return _panel_each(spreads, shown, experiment, theory, vanished_below, small, notes)
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
            axes.axhline(vanished_below, color=style.GREY, linewidth=0.9, linestyle=_DOTTED)
        panels[-1].annotate(
            f"vanished\nbelow\n{LogFormatterSciNotation()(vanished_below)}",
            (1.01, vanished_below),
            xycoords=panels[-1].get_yaxis_transform(),
            va="center",
            color=style.GREY,
            fontsize=7.5,
        )

    handles = curves.handles(experiment)
    if explained:
        handles.append(_theory_handle("theory for plain blocks at initialisation", _THEORY))
        notes += (
            " Dashed: from the variances of weights and biases alone, for infinite width and rows that are unrelated,"
            f" set to the median at {_last_block(experiment)}."
        )
    if any((spread.median == 0).any() for spread in spreads.values()):
        handles.append(curves.zero_handle())
    return style.finish(figure, experiment, "Gradient norm by layer", handles, notes)


def _panel_each(
    spreads: Mapping[tuple[int, str], curves.Spread],
    shown: pd.DataFrame,
    experiment: Experiment,
    theory: Mapping[str, NDArray[np.float64]],
    vanished_below: float,
    small: Mapping[str, str],
    notes: str,
) -> Figure:
    """The blocks of many variants: a panel for each, with the first and the last epoch, and the others in grey."""
    last = max(experiment.epochs, 1)
    blocks: dict[int, dict[str, curves.Spread]] = {1: {}, last: {}}
    for (epoch, variant), spread in spreads.items():
        blocks[epoch][variant] = _part(spread, spread.at, slice(1, -1))
    figure, panels = style.panels(
        experiment,
        0.75,
        {variant: f"train loss {loss}" for variant, loss in small.items()},
        x="layer (block)",
        y="‖∂loss/∂W‖ (Frobenius)",
        share_x=experiment.is_of_one_depth,
    )
    shown = shown[shown["layer"].between(1, shown["variant"].map(experiment.depths))]
    values = curves.to_show(shown, ["epoch", "layer"], "grad_norm", experiment)
    curves.log_axis(next(iter(panels.values())), values)
    low, high = next(iter(panels.values())).get_ylim()
    handles = curves.panel_handles(experiment, "last epoch", "first epoch")
    explained = zeros = False
    for variant, axes in panels.items():
        curves.layer_axis(axes, experiment.depths[variant], ends=False)
        if low < vanished_below < high:
            axes.axhline(vanished_below, color=style.GREY, linewidth=0.9, linestyle=":")
        first = blocks[1] if last > 1 else {}
        curves.panel(axes, experiment, variant, blocks[last], first, "all seeds diverged")
        for spreads_of in blocks.values():
            if variant in spreads_of:
                zeros |= curves.zeros(axes, spreads_of[variant], experiment, variant, alone=True)
        if variant in theory and (1, variant) in spreads:
            explained |= _theory(axes, spreads[1, variant], theory[variant], _DOTTED)
    if explained:
        handles.append(_theory_handle("theory at initialisation", _DOTTED))
    if zeros:
        handles.append(curves.zero_handle())
    if low < vanished_below < high:
        label = f"vanished below {vanished_below:g}"
        handles.append(Line2D([], [], color=style.GREY, linewidth=0.9, linestyle=":", label=label))
    return style.finish(figure, experiment, "Gradient norm by layer", handles, notes)


def _theory_handle(label: str, linestyle: _Dashes) -> Line2D:
    return Line2D([], [], color=style.DARK, linewidth=1.1, linestyle=linestyle, label=label)


def _variant(axes: Axes, spread: curves.Spread, experiment: Experiment, variant: str) -> None:
    """Draw one variant in one epoch, from stem to head."""
    head = experiment.depths[variant] + 1
    layers = [experiment.depth + 1 if layer == head else int(layer) for layer in spread.at]  # all heads in one place
    at = np.array([curves.layer_position(layer, experiment.depth) for layer in layers])
    curves.curve(axes, _part(spread, at, slice(1, -1)), experiment, variant, layers=True)
    curves.points(axes, _part(spread, at, np.array([0, head])), experiment, variant, hollow=True)
    curves.zeros(axes, _part(spread, at, slice(None)), experiment, variant)


def _last_block(experiment: Experiment) -> str:
    depths = set(experiment.depths.values())
    return f"block {depths.pop()}" if len(depths) == 1 else "the last block"


def _part(spread: curves.Spread, at: curves.Numbers, layers: slice | NDArray[np.int64]) -> curves.Spread:
    return curves.Spread(at[layers], spread.median[layers], spread.low[layers], spread.high[layers])


def _theory(axes: Axes, spread: curves.Spread, relative: NDArray[np.float64], linestyle: _Dashes = _THEORY) -> bool:
    """Draw what theory gives through the last block; tell whether there is something to draw."""
    depth = len(spread.at) - 2
    anchor = spread.median[depth]
    if depth == 1 or anchor == 0:
        return False
    axes.plot(
        np.arange(1, depth + 1), anchor * relative, color=style.DARK, linewidth=1.1, linestyle=linestyle, zorder=4
    )
    return True
