"""shifts: accuracy on shifted validation rows, and what each network gains there beside the first one."""

import re

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment


@matplotlib.rc_context(style.RC)
def draw(shifts: pd.DataFrame, experiment: Experiment) -> Figure:
    """A row for each shift with labels.

    Args:
        shifts: Columns variant, seed, shift, accuracy, reference_row and others, as in
            studies/gates/reports/shifts.csv.
        experiment: What the figures share; its first variant is the one that the others are compared with.
    """
    known = shifts.dropna(subset="accuracy")
    names = list(dict.fromkeys(known["shift"]))
    variants = list(experiment.diverged)
    figure = Figure(figsize=(style.WIDTH, 0.8 + 0.06 * len(names) * (2 + len(variants))), layout="constrained")
    accuracy, gain = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    accuracy.set_title("accuracy", loc="left")
    gain.set_title(f"accuracy minus that of {variants[0]}", loc="left")
    paired = known.join(
        known[known["variant"] == variants[0]].set_index(["shift", "seed"])["accuracy"].rename("first"),
        on=["shift", "seed"],
    )
    paired["gain"] = paired["accuracy"] - paired["first"]
    for axes, column in ((accuracy, "accuracy"), (gain, "gain")):
        axes.grid(visible=False, axis="y")
        for row in range(1, len(names), 2):
            axes.axhspan(row - 0.5, row + 0.5, color="#F5F5F5", linewidth=0, zorder=0)
        for place, variant in enumerate(variants):
            if column == "accuracy" or place:
                own = paired[paired["variant"] == variant]
                shift = 0.8 * ((place + 0.5) / len(variants) - 0.5)
                _points(axes, own, column, names, shift, style.colour(experiment, variant))
    references = known.drop_duplicates("shift").set_index("shift")["reference_row"]
    for row, name in enumerate(names):
        accuracy.plot([references[name]] * 2, [row - 0.4, row + 0.4], color="black", linewidth=1.1, zorder=2)
    gain.axvline(0, color=style.GREY, linewidth=0.9, zorder=1)
    accuracy.set_ylim(len(names) - 0.5, -0.5)
    accuracy.set_xlim(-0.02, 1.02)
    accuracy.yaxis.set_ticks(range(len(names)), [in_words(name) for name in names])
    handles: list[Artist] = [*curves.handles(experiment)]
    handles.append(Line2D([], [], color="black", linewidth=1.1, label="label of the nearest train row"))
    notes = (
        "Marker: median over seeds; bar: smallest to largest." if experiment.seeds > 1 else "One seed."
    ) + " Accuracy: share of rows with the label of the moon they were drawn from, which a shift of all rows keeps."
    return style.finish(figure, experiment, "Accuracy on shifted rows", handles, notes)


def in_words(shift: str) -> str:
    """``rotation -45`` for ``rotation_minus_45``, ``noise 0.5`` for ``noise_0_5``."""
    return re.sub(r"(?<=\d)_(?=\d)", ".", shift).replace("minus_", "-").replace("_", " ")


def _points(axes: Axes, own: pd.DataFrame, column: str, names: list[str], shift: float, colour: str) -> None:
    """A marker and a bar for each shift, moved down by a part of a row."""
    for row, name in enumerate(names):
        values = own.loc[own["shift"] == name, column]
        if len(values):
            axes.hlines(row + shift, values.min(), values.max(), color=colour, alpha=0.4, linewidth=2.4)
            axes.plot(values.median(), row + shift, "o", color=colour, markersize=3.2, zorder=3)
