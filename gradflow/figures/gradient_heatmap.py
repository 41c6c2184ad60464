"""gradient_heatmap: the gradient of each layer in each epoch."""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from gradflow.figures import style

_HATCH: dict[str, Any] = {"facecolor": "#F4F4F4", "edgecolor": "#BDBDBD", "hatch": "////", "linewidth": 0}


@matplotlib.rc_context(style.RC)
def draw(norms: pd.DataFrame, experiment: style.Experiment) -> Figure:
    """Layer by epoch, a panel a variant, the median over seeds as colour on one logarithmic scale.

    Args:
        norms: Columns variant, seed, epoch, layer, grad_norm, as in reports/gradient_norms.csv.
        experiment: What the figures share.
    """
    grids = {variant: _grid(norms[norms["variant"] == variant], experiment) for variant in experiment.diverged}
    positive = np.concatenate([grid[grid > 0] for grid in grids.values()])
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    scale = LogNorm(low, max(high, low * 10))

    columns = style.columns(len(grids))
    rows = -(-len(grids) // columns)
    figure = Figure(figsize=(style.WIDTH, 2.3 * rows + 0.2), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (variant, grid) in zip(panels, grids.items(), strict=False):
        mesh = _panel(axes, grid, experiment, variant, scale)
    for axes in panels[len(grids) :]:
        axes.set_visible(False)
    for place, axes in enumerate(panels[: len(grids)]):
        if place + columns >= len(grids):
            axes.xaxis.set_tick_params(labelbottom=True)
            axes.set_xlabel("epoch")
        else:
            axes.set_xlabel("")
        if place % columns == 0:
            axes.set_ylabel("layer")
    bar = figure.colorbar(mesh, ax=list(panels), aspect=max(20, 13 * rows), pad=0.015, fraction=0.05)
    bar.set_label("‖∂loss/∂W‖ (Frobenius)")
    bar.outline.set_visible(False)

    handles: list[Artist] = []
    if any((grid == 0).any() for grid in grids.values()):
        handles.append(
            Patch(facecolor="white", edgecolor=style.GREY, linewidth=0.6, label="0: below what float32 holds")
        )
    if any(np.isnan(grid).any() for grid in grids.values()):
        handles.append(Patch(**_HATCH, label="no seed left: all have diverged"))
    notes = (
        "Colour: median over seeds of the mean norm over the epoch's steps, before clipping; one scale for all panels."
    )
    if any(experiment.diverged.values()):
        notes += " A seed that diverged counts with its steps before that."
    return style.finish(figure, experiment, "Gradient norm by layer and epoch", handles, notes)


def _grid(norms: pd.DataFrame, experiment: style.Experiment) -> NDArray[np.float64]:
    """Median over seeds, (depth + 2 layers, epochs); nan where no seed is left."""
    table = norms.pivot_table(index="layer", columns="epoch", values="grad_norm", aggfunc="median")
    full = table.reindex(index=range(experiment.depth + 2), columns=range(1, experiment.epochs + 1))
    return full.to_numpy(dtype=float)


def _panel(
    axes: Axes, grid: NDArray[np.float64], experiment: style.Experiment, variant: str, scale: LogNorm
) -> QuadMesh:
    depth, epochs = experiment.depth, experiment.epochs
    # Rows stem, gap, blocks, gap, head: the blocks have weights of one shape, the ends of others.
    stem, head = (style.layer_position(layer, depth) for layer in (0, depth + 1))
    half = min(0.5, (1 - stem) - 0.5) if depth == 1 else max(0.35, 0.025 * depth)
    low, high = 0.5, depth + 0.5
    edges = np.concatenate([[stem - half, stem + half], np.arange(depth + 1) + low, [head - half, head + half]])
    gap = np.full((1, epochs), np.nan)
    cells = np.ma.masked_invalid(np.concatenate([grid[:1], gap, grid[1:-1], gap, grid[-1:]]))
    sides = np.arange(epochs + 1) + 0.5
    for bottom, top in ((stem - half, stem + half), (low, high), (head - half, head + half)):
        axes.add_patch(Rectangle((0.5, bottom), epochs, top - bottom, zorder=0, **_HATCH))
    zero = np.ma.masked_not_equal(cells, 0)
    axes.pcolormesh(sides, edges, zero, cmap=ListedColormap(["white"]), rasterized=True)
    mesh = axes.pcolormesh(sides, edges, np.ma.masked_equal(cells, 0), norm=scale, cmap="viridis", rasterized=True)
    axes.grid(visible=False)
    style.epoch_axis(axes, epochs)
    axes.set_xlim(0.5, epochs + 0.5)
    style.layer_axis(axes, depth, ends=True, vertical=True)
    axes.set_ylim(stem - half, head + half)
    axes.spines[:].set_visible(False)
    style.panel_title(axes, experiment, variant)
    return mesh
