"""rules: the error of gradients when blocks share out the same memory in several ways."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment
from studies.memory import summary

_RULES = {
    "large_branches_whole": "largest branches whole",
    "small_branches_whole": "smallest branches whole",
    "open_gates_whole": "most open gates whole",
    "by_spread": "rows as sqrt(E)",
}
_MOMENTS = {"start": "before training", "end": "after training", "shut": "gates shut by hand"}


@matplotlib.rc_context(style.RC)
def draw(rules: pd.DataFrame, experiment: Experiment) -> Figure:
    """A panel for each moment, in it a row for each rule and a marker for each network.

    Args:
        rules: Columns variant, moment, rule, seed, error, kept, as in studies/memory/reports/rules.csv.
        experiment: What the figures share.
    """
    found = {
        (variant, moment, rule): relative.dropna()
        for variant, own in rules.groupby("variant", sort=False)
        for (moment, rule), _, relative in summary.relatives(own)
    }
    moments = [moment for moment in _MOMENTS if moment in set(rules["moment"])]
    shown = [rule for rule in _RULES if rule in set(rules["rule"])]
    figure = Figure(figsize=(style.WIDTH, 0.9 + 0.42 * len(shown)), layout="constrained")
    grid = figure.subplots(1, len(moments), sharey=True, squeeze=False)[0]
    for axes, moment in zip(grid, moments, strict=True):
        axes.set_title(_MOMENTS[moment], loc="left")
        axes.grid(visible=False, axis="y")
        of_moment = [
            own.to_numpy(dtype=np.float64) for (_, at, _), own in found.items() if (at == "shut") == (moment == "shut")
        ]
        curves.log_axis(axes, np.concatenate(of_moment), horizontal=True, short=True)
        axes.set_xlabel("error over that of equal parts")
        axes.axvline(1, color=style.GREY, linewidth=0.9, zorder=1)
        for place, rule in enumerate(shown):
            if place % 2:
                axes.axhspan(place - 0.5, place + 0.5, color="#F5F5F5", linewidth=0, zorder=0)
            for number, variant in enumerate(experiment.diverged):
                own = found.get((variant, moment, rule))
                if own is not None and len(own):
                    at = place + 0.6 * ((number + 0.5) / len(experiment.diverged) - 0.5)
                    colour = style.colour(experiment, variant)
                    axes.hlines(at, own.min(), own.max(), color=colour, alpha=0.4, linewidth=2.4)
                    axes.plot(own.median(), at, "o", color=colour, markersize=3.6, zorder=3)
        axes.set_ylim(len(shown) - 0.5, -0.5)
    grid[0].yaxis.set_ticks(range(len(shown)), [_RULES[rule] for rule in shown])
    reading = "Marker: median over seeds; bar: smallest to largest." if experiment.seeds > 1 else "One seed."
    notes = (
        f"{reading} Whole: as many blocks as fit keep their whole batch, the others a few rows. Error: root of"
        " the expected squared distance of all blocks' gradients from the exact ones, over that where each block"
        " keeps as many rows as any other (line at 1); below 1 is better. All rules keep as many rows in all."
    )
    title = "Which blocks to sketch, at equal memory"
    return style.finish(figure, experiment, title, curves.handles(experiment), notes)
