"""networks: how networks that were trained in other ways stand the same policies."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment
from studies.routing import summary

_SHOWN = ("random", "early_exit", "norm_above", "norm_below")
_PERCENT = 100


@matplotlib.rc_context(style.RC)
def draw(policies: pd.DataFrame, experiment: Experiment) -> Figure:
    """A panel for each policy with what each network loses.

    Args:
        policies: Columns variant, seed, policy, target, lost and others, as in studies/routing/reports/policies.csv.
        experiment: What the figures share.
    """
    figure = Figure(figsize=(style.WIDTH, 5.4), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, squeeze=False)
    for axes, name in zip(grid.flat, _SHOWN, strict=True):
        own = policies[policies["policy"] == name]
        own = own.assign(lost=_PERCENT * own["lost"])
        axes.set_title(summary.POLICIES[name], loc="left")
        axes.set_xlim(0, 1.02)
        for variant in experiment.diverged:
            rows = own[own["variant"] == variant]
            if len(rows):
                curves.curve(axes, curves.over_seeds(rows, "target", "lost"), experiment, variant, layers=True)
        if own.empty:
            curves.say(axes, "each seed diverged")
    for axes in grid[-1]:
        axes.set_xlabel("share of the blocks that is asked for")
    for axes in grid[:, 0]:
        axes.set_ylabel("points of accuracy lost")
    notes = f"{curves.reading(experiment)} Lost: accuracy of the whole network less that under the policy."
    title = "What skipping costs networks that were trained in other ways"
    return style.finish(figure, experiment, title, curves.handles(experiment), notes)
