"""growth: how much stream and gradient grow before training, by share of the rows, beside the law."""

from itertools import product

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
def draw(growth: pd.DataFrame, experiment: Experiment) -> Figure:
    """A column for each exponent and a row for each depth: growth by share.

    Args:
        growth: Columns kind, share, depth, exponent, seed, stream, gradient, law and others, as in
            studies/shares/reports/growth.csv.
        experiment: What is shared; its variants are the kinds.
    """
    depths, exponents = (sorted(growth[key].unique()) for key in ("depth", "exponent"))
    figure = Figure(figsize=(style.WIDTH, 1.0 + 2.0 * len(depths)), layout="constrained")
    panels = figure.subplots(len(depths), len(exponents), squeeze=False, sharex=True)
    for axes, (depth, exponent) in zip(panels.ravel(), product(depths, exponents), strict=True):
        own = growth[(growth["depth"] == depth) & (growth["exponent"] == exponent)]
        axes.set_title(f"{depth} blocks, exponent {exponent:g}", loc="left")
        axes.set_xlim(own["share"].min() - 0.12, 1.1)
        shown = own[["stream", "gradient", "law"]].to_numpy(dtype=float).ravel()
        curves.log_axis(axes, shown[np.isfinite(shown)])
        for kind, rows in own.groupby("kind", sort=False):
            curves.points(axes, curves.over_seeds(rows, "share", "stream"), experiment, str(kind), hollow=False)
            curves.points(axes, curves.over_seeds(rows, "share", "gradient"), experiment, str(kind), hollow=True)
            law = rows.groupby("share")["law"].first()
            axes.plot(law.index, law, color=style.colour(experiment, str(kind)), linestyle=_LAW, linewidth=1.2)
    for axes in panels[-1]:
        axes.set_xlabel("share of the rows in a branch")
    for axes in panels[:, 0]:
        axes.set_ylabel("growth over the blocks")
    handles: list[Artist] = [
        *curves.handles(experiment),
        Line2D([], [], color=style.DARK, marker="o", linestyle="", markersize=4.5, label="stream"),
        Line2D(
            [],
            [],
            color=style.DARK,
            marker="o",
            markerfacecolor="white",
            linestyle="",
            markersize=4.5,
            label="gradient",
        ),
        Line2D([], [], color=style.DARK, linestyle=_LAW, linewidth=1.2, label="law"),
    ]
    notes = (
        f"{curves.reading(experiment)} Stream: ‖x_L‖ / ‖x_0‖; gradient: ‖dx_0‖ / ‖dx_L‖, both root mean squares over"
        " rows. Law: (1 + share w² c² chi)^(L/2), of two experts with share 1. Where a block multiplies much, few rows"
        " make the mean, and the rows drawn do not reach it."
    )
    return style.finish(
        figure, experiment, "Growth before training, branches that see a share of the rows", handles, notes
    )
