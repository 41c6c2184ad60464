"""trained: networks run at other shares than they were trained at: accuracy, and growth of the gradient."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment


@matplotlib.rc_context(style.RC)
def draw(runs: pd.DataFrame, exponents: Sequence[float], experiment: Experiment) -> Figure:
    """A column for each exponent: accuracy above, growth of the gradient below, by the share at which a network runs.

    Args:
        runs: Columns variant, exponent, seed, accuracy, gradient, moment, share; variant is a way to train, of which
            there is one network for each exponent at most.
        exponents: Those to show.
        experiment: What is shared; its variants are the ways to train.
    """
    figure = Figure(figsize=(style.WIDTH, 4.6), layout="constrained")
    panels = figure.subplots(2, len(exponents), squeeze=False, sharex=True)
    moments = {moment: runs[runs["moment"] == moment] for moment in ("start", "end")}
    low = min(0.7, moments["end"]["accuracy"].min() - 0.03)
    for column, exponent in enumerate(exponents):
        above, below = panels[:, column]
        above.set_title(f"exponent {exponent:g}", loc="left")
        above.set_ylim(low, 1.0)
        growth = runs.loc[runs["exponent"] == exponent, "gradient"].to_numpy(dtype=float)
        curves.log_axis(below, growth[np.isfinite(growth)])
        below.set_xlabel("share of the rows in a branch")
        below.set_xlim(runs["share"].min() - 0.1, 1.1)
        for way in experiment.diverged:
            own = {
                moment: rows[(rows["variant"] == way) & (rows["exponent"] == exponent)]
                for moment, rows in moments.items()
            }
            if len(own["end"]):
                spread = curves.over_seeds(own["end"], "share", "accuracy")
                curves.curve(above, spread, experiment, way)
                curves.points(below, curves.over_seeds(own["end"], "share", "gradient"), experiment, way, hollow=False)
            if len(own["start"]):
                curves.points(below, curves.over_seeds(own["start"], "share", "gradient"), experiment, way, hollow=True)
    panels[0, 0].set_ylabel("validation accuracy")
    panels[1, 0].set_ylabel(f"growth of the gradient\nover {experiment.depth} blocks")
    handles: list[Artist] = [
        *curves.handles(experiment),
        *(
            Line2D(
                [], [], color=style.DARK, marker="o", linestyle="", markersize=4.5, markerfacecolor=face, label=label
            )
            for label, face in (("after training", style.DARK), ("before training", "white"))
        ),
    ]
    notes = (
        f"{curves.reading(experiment)} Colour: how a network was trained: each row in a share of the branches, by"
        " chance. Growth: ‖dx_0‖ / ‖dx_L‖ for a random gradient at the end, root mean squares over rows."
    )
    return style.finish(figure, experiment, "Networks trained at one share, run at another", handles, notes)
