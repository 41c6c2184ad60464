"""growth: how much stream and gradient grow before training, by share of the rows, beside the law."""

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_LAW = (0, (1, 1))


@matplotlib.rc_context(style.RC)
def draw(growth: pd.DataFrame, experiment: Experiment) -> Figure:
    """A panel for each exponent, at the smallest depth: growth by share.

    Args:
        growth: Columns kind, share, depth, exponent, seed, stream, gradient, law, drawn, as in
            studies/routing/reports/growth.csv.
        experiment: What is shared; its variants are the kinds.
    """
    depth = growth["depth"].min()
    shown = growth[growth["depth"] == depth]
    exponents = sorted(shown["exponent"].unique())
    figure = Figure(figsize=(style.WIDTH, 3.0), layout="constrained")
    panels = figure.subplots(1, len(exponents), squeeze=False)[0]
    for axes, exponent in zip(panels, exponents, strict=True):
        own = shown[shown["exponent"] == exponent]
        axes.set_title(f"exponent {exponent:g}", loc="left")
        axes.set_xlabel("share of the rows in a branch")
        axes.set_xlim(0.1, 1.08)
        curves.log_axis(axes, own[["stream", "gradient", "law"]].to_numpy(dtype=float).ravel())
        for kind, rows in own.groupby("kind", sort=False):
            curves.points(axes, curves.over_seeds(rows, "share", "stream"), experiment, str(kind), hollow=False)
            curves.points(axes, curves.over_seeds(rows, "share", "gradient"), experiment, str(kind), hollow=True)
            law = rows.groupby("share")["law"].first()
            width = {"marker": "_", "markersize": 14} if len(law) == 1 else {}
            axes.plot(law.index, law, color=style.colour(experiment, str(kind)), linestyle=_LAW, linewidth=1.2, **width)
    panels[0].set_ylabel(f"growth over {depth} blocks")
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
        " rows. Law: (1 + share w² c² chi)^(L/2). Where a block multiplies much, few rows make the mean, and the rows"
        " drawn do not reach it."
    )
    return style.finish(
        figure, experiment, "Growth before training, branches that see a share of the rows", handles, notes
    )
