"""loss: how well each network learns to return its input."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_PREDICTING_ZERO = 1 / 3  # E[x^2] of U(-1, 1)


@matplotlib.rc_context(style.RC)
def draw(history: pd.DataFrame, experiment: Experiment) -> Figure:
    """Loss on a fresh batch by step: median and range over seeds.

    Args:
        history: Columns variant, seed, step, loss, as in studies/identity/reports/history.csv.
        experiment: What the figures share; an epoch is a step.
    """
    figure = Figure(figsize=(style.WIDTH, 2.9), layout="constrained")
    axes = figure.subplots()
    curves.log_axis(axes, curves.to_show(history, ["step"], "loss", experiment))
    axes.axhline(_PREDICTING_ZERO, color=style.GREY, linewidth=0.9, linestyle=":", zorder=1)
    axes.set_xlabel("step")
    axes.set_ylabel("mean squared error")
    axes.set_xlim(-0.015 * experiment.epochs, 1.015 * experiment.epochs)
    zero = False
    for variant in experiment.diverged:
        part = history[history["variant"] == variant]
        if part.empty:  # all its seeds were lost before the first step
            continue
        spread = curves.over_seeds(part, "step", "loss")
        curves.curve(axes, spread, experiment, variant)
        ends = spread.at[[0, -1]]
        at_ends = curves.Spread(ends, spread.median[[0, -1]], spread.low[[0, -1]], spread.high[[0, -1]])
        zero |= curves.zeros(axes, at_ends, experiment, variant)
    handles = curves.handles(experiment)
    handles.append(Line2D([], [], color=style.GREY, linewidth=0.9, linestyle=":", label="1/3: predicting zero"))
    if zero:
        handles.append(
            Line2D(
                [], [], color=style.GREY, marker="v", linestyle="", markersize=5, label="exactly 0, first or last step"
            )
        )
    notes = f"{curves.reading(experiment)} Loss on the batch of the step, which was never seen before."
    return style.finish(figure, experiment, "Learning the distant identity", handles, notes)
