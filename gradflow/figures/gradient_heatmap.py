"""gradient_heatmap: the gradient of each layer in each epoch."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

# What the colours of the scale cannot say. Viridis holds neither red nor grey.
_ABOVE = "#C51B2B"
_ZERO = "#BFBFBF"
_ABSENT: dict[str, Any] = {"facecolor": "white", "edgecolor": "#BDBDBD", "hatch": "////", "linewidth": 0}


@matplotlib.rc_context(style.RC)
def draw(norms: pd.DataFrame, experiment: Experiment) -> Figure:
    """Layer by epoch, a panel a variant, the median over seeds as colour on one logarithmic scale.

    Args:
        norms: Columns variant, seed, epoch, layer, grad_norm, a row a layer; see
            :func:`gradflow.analysis.gradients.by_layer`.
        experiment: What the figures share.
    """
    grids = {
        variant: _grid(norms[norms["variant"] == variant], depth, experiment.epochs)
        for variant, depth in experiment.depths.items()
    }
    surviving = experiment.surviving(norms)
    kept = surviving.groupby(["variant", "epoch", "layer"])["grad_norm"].median().to_numpy(dtype=float)
    values = np.concatenate([grid.ravel() for grid in grids.values()])
    positive = values[values > 0]
    low = positive.min() if len(positive) else 0.1
    high = max(10 * low, kept.max() if len(kept) else np.nanmax(values))
    scale, colours = LogNorm(low, high), matplotlib.colormaps["viridis"].with_extremes(over=_ABOVE)

    same_depth = len(set(experiment.depths.values())) == 1
    figure, panels = style.panels(experiment, 0.7, {}, x="epoch", y="layer", share_y=same_depth)
    for variant, axes in panels.items():
        _panel(axes, grids[variant], scale, colours)
    above = bool((values > high).any())
    bar = style.colour_bar(
        figure, ScalarMappable(scale, colours), "‖∂loss/∂W‖ (Frobenius)", extend="max" if above else "neither"
    )
    curves.log_ticks(bar.ax.yaxis, low, high)

    handles: list[Artist] = []
    if above:
        handles.append(Patch(facecolor=_ABOVE, label="above the scale, which the seeds that did not diverge set"))
    if (values == 0).any():
        handles.append(Patch(facecolor=_ZERO, label="exactly 0 (underflow or dead units)"))
    if np.isnan(values).any():
        handles.append(Patch(**_ABSENT, label="no seed left: all have diverged"))
    what = "norm of the seed" if experiment.seeds == 1 else "median over seeds"
    notes = f"Colour: {what}, mean over the steps of the epoch, before clipping; one scale for all panels."
    if experiment.any_diverged():
        notes += " A seed that diverged counts with its steps before that."
    return style.finish(figure, experiment, "Gradient norm by layer and epoch", handles, notes)


def _grid(norms: pd.DataFrame, depth: int, epochs: int) -> curves.Numbers:
    """Median over seeds, (depth + 2 layers, epochs); nan where no seed is left."""
    table = norms.pivot_table(index="layer", columns="epoch", values="grad_norm", aggfunc="median")
    full = table.reindex(index=range(depth + 2), columns=range(1, epochs + 1))
    return full.to_numpy(dtype=float)


def _panel(axes: Axes, grid: curves.Numbers, scale: LogNorm, colours: Colormap) -> None:
    """Draw a grid (depth + 2 layers, epochs): the blocks have weights of one shape, stem and head stand apart."""
    depth, epochs = grid.shape[0] - 2, grid.shape[1]
    stem, head = (curves.layer_position(layer, depth) for layer in (0, depth + 1))
    half = 0.5 if depth == 1 else max(0.35, 0.025 * depth)
    low, high = 0.5, depth + 0.5
    edges = np.concatenate([[stem - half, stem + half], np.arange(depth + 1) + low, [head - half, head + half]])
    gap = np.full((1, epochs), np.nan)
    cells = np.ma.masked_invalid(np.concatenate([grid[:1], gap, grid[1:-1], gap, grid[-1:]]))
    sides = np.arange(epochs + 1) + 0.5
    for bottom, top in ((stem - half, stem + half), (low, high), (head - half, head + half)):
        axes.add_patch(Rectangle((0.5, bottom), epochs, top - bottom, zorder=0, **_ABSENT))
    zero = np.ma.masked_not_equal(cells, 0)
    axes.pcolormesh(sides, edges, zero, cmap=ListedColormap([_ZERO]), rasterized=True)
    axes.pcolormesh(sides, edges, np.ma.masked_equal(cells, 0), norm=scale, cmap=colours, rasterized=True)
    axes.grid(visible=False)
    curves.epoch_axis(axes, epochs)
    axes.set_xlim(0.5, epochs + 0.5)
    curves.layer_axis(axes, depth, ends=True, vertical=True)
    axes.set_ylim(stem - half, head + half)
    axes.spines[:].set_visible(False)
