"""trained: networks run at other shares than they were trained at: accuracy, growth of stream and gradient."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_LAW = (0, (1, 1))


@matplotlib.rc_context(style.RC)
def draw(runs: pd.DataFrame, exponents: Sequence[float], experiment: Experiment) -> Figure:
    """A column for each exponent, by the share at which networks run: accuracy, growth of stream and gradient.

    Args:
        runs: Columns variant, exponent, seed, accuracy, stream, gradient, law, moment, share, kept; variant is a way to
            train, of which there is one network for each exponent at most.
        exponents: Those to show.
        experiment: What is shared; its variants are the ways to train.
    """
    figure = Figure(figsize=(style.WIDTH, 6.2), layout="constrained")
    panels = figure.subplots(3, len(exponents), squeeze=False, sharex=True)
    end = runs[runs["moment"] == "end"]
    low = min(0.7, end["accuracy"].min() - 0.03)
    for column, exponent in enumerate(exponents):
        accuracy, *grown = panels[:, column]
        accuracy.set_title(f"exponent {exponent:g}", loc="left")
        accuracy.set_ylim(low, 1.0)
        own = end[end["exponent"] == exponent]
        same = own[own["kept"] == "weight"]
        for kept, rows in own.groupby("kept"):
            for way, of_way in rows.groupby("variant", sort=False):
                spread = curves.over_seeds(of_way, "share", "accuracy")
                curves.curve(accuracy, spread, experiment, str(way), second=kept == "mean")
        for axes, name in zip(grown, ("stream", "gradient"), strict=True):
            shown = same[[name, "law"]].to_numpy(dtype=float).ravel()
            curves.log_axis(axes, shown[np.isfinite(shown)])
            for way, of_way in same.groupby("variant", sort=False):
                curves.points(axes, curves.over_seeds(of_way, "share", name), experiment, str(way), hollow=False)
                law = of_way.groupby("share")["law"].first()
                colour = style.colour(experiment, str(way))
                axes.plot(law.index, law, color=colour, linestyle=_LAW, linewidth=1.2)
        grown[-1].set_xlabel("share of the rows in a branch")
        grown[-1].set_xlim(runs["share"].min() - 0.1, 1.1)
    labels = ("validation accuracy", "growth of the stream", "growth of the gradient")
    for axes, label in zip(panels[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    handles: list[Artist] = [
        *curves.handles(experiment),
        Line2D([], [], color=style.DARK, linewidth=1.0, linestyle=style.DASHES, label="with the mean of the training"),
        Line2D([], [], color=style.DARK, linewidth=1.2, linestyle=_LAW, label="law before training"),
    ]
    notes = (
        f"{curves.reading(experiment)} Colour: how a network was trained, and the factor w on what a branch adds: 1,"
        " 1 / share (mean kept) or 1 / sqrt(share) (power kept); it runs with the same w. Dashed: with the w that keeps"
        f" the mean that branches had in training. Growth over {experiment.depth} blocks: ‖x_L‖ / ‖x_0‖, and ‖dx_0‖ /"
        " ‖dx_L‖ for a random gradient at the end, root mean squares over rows."
    )
    return style.finish(figure, experiment, "Networks trained at one share, run at another", handles, notes)
