"""shares: what the streams are made of in networks whose rule gives each earlier stream a share."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment
from studies.mixing.summary import in_sizes

_MAP = matplotlib.colormaps["viridis"]
_ACROSS = 3  # maps side by side


@matplotlib.rc_context(style.RC)
def draw(shares: pd.DataFrame, experiment: Experiment) -> Figure:
    """For each network that has shares their mean over seeds after training, and a curve of that of the stem.

    Args:
        shares: Columns variant, seed, layer, source, share, moment, as in studies/mixing/reports/shares.csv.
        experiment: What the figures share.
    """
    sizes = in_sizes(shares)
    variants = [name for name in experiment.diverged if name in set(shares["variant"])]
    lines = -(-max(1, len(variants)) // _ACROSS)
    figure = Figure(figsize=(style.WIDTH, 2.4 + 2.2 * lines), layout="constrained")
    grid = figure.add_gridspec(1 + lines, _ACROSS, height_ratios=(1.1, *[1] * lines))
    stem = figure.add_subplot(grid[0, :])
    maps = [figure.add_subplot(grid[1 + place // _ACROSS, place % _ACROSS]) for place in range(max(1, len(variants)))]
    stem.set_title("share of the stem in the stream behind each block", loc="left")
    stem.set_xlabel("block")
    stem.set_ylim(-0.02, 1.02)
    curves.layer_axis(stem, experiment.depth, ends=False)
    scale = PowerNorm(0.5, 0, 1)  # most shares are small
    for place, variant in enumerate(variants):
        own = sizes[sizes["variant"] == variant]
        for moment in ("start", "end"):
            rows = own[(own["moment"] == moment) & (own["source"] == 0)]
            if len(rows):
                spread = curves.over_seeds(rows, "layer", "share")
                curves.curve(stem, spread, experiment, variant, second=moment == "start", layers=True)
        axes = maps[place]
        axes.set_title(variant, loc="left")
        if place + _ACROSS >= len(variants):
            axes.set_xlabel("block read")
        if place % _ACROSS == 0:
            axes.set_ylabel("behind block")
        axes.grid(visible=False)
        matrix = np.full((experiment.depth, experiment.depth + 1), np.nan)
        mean = own[own["moment"] == "end"].groupby(["layer", "source"], as_index=False)["share"].mean()
        matrix[mean["layer"] - 1, mean["source"]] = mean["share"]
        edges = np.arange(experiment.depth + 2) - 0.5
        axes.pcolormesh(edges, edges[1:], matrix, cmap=_MAP, norm=scale, rasterized=True)
        axes.set_aspect("equal")
    if not variants:
        curves.say(stem, "no network has shares")
        maps[0].set_visible(False)
    bar = figure.colorbar(ScalarMappable(scale, _MAP), ax=maps, fraction=0.03, pad=0.01, aspect=14 * lines)
    bar.set_label("share")
    bar.outline.set_visible(False)
    chosen = [handle for handle in curves.handles(experiment) if str(handle.get_label()).partition(" ")[0] in variants]
    notes = (
        f"{curves.reading(experiment)} Solid: after training; dashed: before. Shares of absolute sizes among all that a"
        " stream is made of, means over rows; 0: the stem. Squares: after training, mean over seeds. Where a rule adds"
        " to what blocks carry, the shares are those within what it adds."
    )
    return style.finish(figure, experiment, "What each block reads of all before it", chosen, notes)
