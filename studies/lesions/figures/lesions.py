"""lesions: the accuracy that is left when blocks are dropped or swapped after training."""

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_GUESS = 0.5

# Kind of lesion to the label of its axis and the title of its panel
_PANELS = {
    "dropped": ("blocks dropped at random", "accuracy without some blocks"),
    "single": ("the block dropped", "accuracy without one block"),
    "swapped": ("random swaps of two blocks", "accuracy with blocks in another order"),
}


@matplotlib.rc_context(style.RC)
def draw(lesions: pd.DataFrame, experiment: Experiment) -> Figure:
    """Accuracy against dropped blocks, against the one block that is dropped, and against swaps.

    Args:
        lesions: Columns variant, seed, kind, number, draw, accuracy, as in studies/lesions/reports/lesions.csv.
        experiment: What the figures share.
    """
    figure = Figure(figsize=(style.WIDTH, 4.6), layout="constrained")
    grid = figure.subplot_mosaic([["dropped", "dropped"], ["single", "swapped"]])
    for kind, (x, title) in _PANELS.items():
        grid[kind].set_title(title, loc="left")
        grid[kind].set_xlabel(x)
        _draw(grid[kind], lesions[lesions["kind"] == kind], experiment)
    curves.layer_axis(grid["single"], experiment.depth, ends=False)
    for kind in ("dropped", "swapped"):
        grid[kind].xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    if lesions["draw"].max() > 0:
        each = "seeds and draws" if experiment.seeds > 1 else "draws"
        reading = f"Line: median over {each}; band: smallest to largest, one block dropped: over seeds."
    else:
        reading = curves.reading(experiment)
    notes = f"{reading} Dotted: guessing. Where a block is missing, the stream goes past it."
    handles = [*curves.handles(experiment), Line2D([], [], color=style.GREY, linestyle=":", label="guessing")]
    return style.finish(figure, experiment, "What is left without some of the blocks", handles, notes)


def _draw(axes: Axes, rows: pd.DataFrame, experiment: Experiment) -> None:
    axes.set_ylim(0, 1.02)
    axes.axhline(_GUESS, color=style.GREY, linewidth=0.9, linestyle=":", zorder=1)
    for variant in experiment.diverged:
        own = rows[rows["variant"] == variant]
        if len(own):
            curves.curve(axes, curves.over_seeds(own, "number", "accuracy"), experiment, variant, layers=True)
    if rows.empty:
        curves.say(axes, "each seed diverged")
