"""heatmap: the gradient of each layer at each probed step."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_ZERO = "#BFBFBF"  # viridis holds no grey


@matplotlib.rc_context(style.RC)
def draw(probes: pd.DataFrame, experiment: Experiment) -> Figure:
    """Layer by step, a panel a variant, the median of ||dLoss/dz|| over seeds as colour on one logarithmic scale.

    Args:
        probes: Columns variant, seed, step, layer, delta_norm, as in studies/identity/reports/probe.csv.
        experiment: What the figures share; an epoch is a step.
    """
    steps = sorted(probes["step"].unique()) or [0]
    places = pd.MultiIndex.from_product([experiment.diverged, range(1, experiment.depth + 1), steps])
    median = probes.groupby(["variant", "layer", "step"])["delta_norm"].median().reindex(places)
    grids = {variant: median[variant].unstack().to_numpy(dtype=float) for variant in experiment.diverged}
    values = np.concatenate([grid.ravel() for grid in grids.values()])
    positive = values[values > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (0.1, 1.0)
    scale = LogNorm(low, max(high, 10 * low))
    figure, panels = style.panels(experiment, 0.6, {}, x="step (probed ones, not evenly spaced)", y="layer (block)")
    for variant, axes in panels.items():
        grid = grids[variant]
        sides, edges = np.arange(len(steps) + 1) - 0.5, np.arange(len(grid) + 1) + 0.5
        axes.pcolormesh(sides, edges, np.ma.masked_not_equal(grid, 0), cmap=ListedColormap([_ZERO]), rasterized=True)
        axes.pcolormesh(
            sides,
            edges,
            np.ma.masked_less_equal(grid, 0),
            norm=scale,
            cmap=matplotlib.colormaps["viridis"],
            rasterized=True,
        )
        axes.grid(visible=False)
        every = -(-len(steps) // 7)
        shown = [*range(0, len(steps) - every, every), len(steps) - 1]
        axes.set_xticks(shown, [str(steps[place]) for place in shown])
        curves.layer_axis(axes, experiment.depth, ends=False, vertical=True)
        axes.set_ylim(0.5, experiment.depth + 0.5)
        axes.spines[:].set_visible(False)
    bar = style.colour_bar(
        figure, ScalarMappable(scale, matplotlib.colormaps["viridis"]), "‖δ‖ = ‖∂loss/∂z‖ (Frobenius)"
    )
    curves.log_ticks(bar.ax.yaxis, *scale_limits(scale))
    handles: list[Artist] = []
    if (values == 0).any():
        handles.append(Patch(facecolor=_ZERO, label="exactly 0 (underflow or dead units)"))
    notes = "Colour: median over seeds, on a fresh batch; one scale for all panels."
    return style.finish(figure, experiment, "Gradient by layer and step", handles, notes)


def scale_limits(scale: LogNorm) -> tuple[float, float]:
    """Ends of a scale that has them."""
    assert scale.vmin is not None and scale.vmax is not None
    return scale.vmin, scale.vmax
