"""norms: the norm of the stream by layer, on validation rows and on some shifted ones."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment
from studies.gates.figures.shifts import in_words


@matplotlib.rc_context(style.RC)
def draw(norms: pd.DataFrame, shifts: Sequence[str], experiment: Experiment) -> Figure:
    """A panel for each shift, in it a curve for each network: median and range over seeds.

    Args:
        norms: Columns variant, seed, shift, layer, norm, as in studies/gates/reports/norms.csv.
        shifts: Which of them to show.
        experiment: What the figures share.
    """
    shown = norms[norms["variant"].isin(list(experiment.diverged)) & norms["shift"].isin(list(shifts))]
    columns = min(2, len(shifts))
    rows = -(-len(shifts) // columns)
    figure = Figure(figsize=(style.WIDTH, 2.1 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, shift in zip(grid, shifts, strict=False):
        axes.set_title(in_words(shift), loc="left")
        curves.log_axis(axes, shown["norm"].to_numpy(dtype=float))
        for variant in experiment.diverged:
            own = shown[(shown["variant"] == variant) & (shown["shift"] == shift)]
            if len(own):
                curves.curve(axes, curves.over_seeds(own, "layer", "norm"), experiment, variant, layers=True)
        axes.set_xlim(-0.5, experiment.depth + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    for axes in grid[len(shifts) :]:
        axes.set_visible(False)
    for axes in grid[max(0, len(shifts) - columns) : len(shifts)]:
        axes.set_xlabel("blocks behind which the stream is measured")
        axes.xaxis.set_tick_params(labelbottom=True)
    figure.supylabel("‖x‖, mean over rows", fontsize=style.RC["axes.labelsize"])
    notes = f"{curves.reading(experiment)} After training; 0: behind the stem."
    return style.finish(figure, experiment, "Norm of the stream by layer", curves.handles(experiment), notes)
