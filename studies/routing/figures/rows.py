"""rows: which inputs run many blocks."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment
from studies.routing import summary

_HALF = 0.5


@matplotlib.rc_context(style.RC)
def draw(rows: pd.DataFrame, experiment: Experiment) -> Figure:
    """A panel for each network with its rows on the plane, coloured by blocks run, at the share nearest to a half.

    Args:
        rows: Columns variant, policy, target, row, blocks, right, x1, x2, label, as in
            studies/routing/reports/rows.csv.
        experiment: What the figures share.
    """
    variants = list(rows["variant"].unique())
    columns = min(2, len(variants))
    lines = -(-len(variants) // columns)
    figure = Figure(figsize=(style.WIDTH, 2.9 * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    targets = rows["target"].unique()
    target = float(min(targets, key=lambda share: abs(share - _HALF)))
    for axes, variant in zip(grid.flat, variants, strict=False):
        own = rows[(rows["variant"] == variant) & (rows["target"] == target)]
        policy = "learned" if (own["policy"] == "learned").any() else "early_exit"
        own = own[own["policy"] == policy]
        axes.set_title(f"{experiment.label(variant)}, {summary.POLICIES[policy]}", loc="left")
        axes.set_aspect("equal")
        axes.grid(visible=False)
        for label, marker in ((0, "o"), (1, "^")):
            part = own[own["label"] == label]
            found = axes.scatter(
                part["x1"],
                part["x2"],
                c=part["blocks"],
                marker=marker,
                s=13,
                vmin=0,
                vmax=experiment.depth,
                linewidths=0,
            )
        wrong = own[own["right"] < _HALF]
        axes.plot(wrong["x1"], wrong["x2"], "x", color="#D1242F", markersize=5, markeredgewidth=1.1)
    for axes in list(grid.flat)[len(variants) :]:
        axes.set_visible(False)
    style.colour_bar(figure, found, "blocks run for a row")
    handles = [
        Line2D([], [], color=style.DARK, marker="o", linestyle="", markersize=4, label="class 0"),
        Line2D([], [], color=style.DARK, marker="^", linestyle="", markersize=4, label="class 1"),
        Line2D([], [], color="#D1242F", marker="x", linestyle="", markersize=5, label="wrong in most seeds"),
    ]
    seeds = "One seed." if experiment.seeds == 1 else "Blocks: mean over seeds."
    notes = f"{seeds} {target:.0%} of all blocks are asked for; axes: the standardised inputs."
    return style.finish(figure, experiment, "Which inputs run many blocks", handles, notes)
