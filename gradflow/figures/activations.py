"""activations: what the layers carry forward, before the first step and after the last."""

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_TITLE = "Activations by layer"

# Column of the probe to the label of its axis
_ROWS = {
    "x_std": "stream x\nstandard deviation",
    "z_std": "pre-activation z\nstandard deviation",
    "dead_fraction": "dead units\nz ≤ 0 on every row",
    "branch_ratio": "branch over stream\nratio of their norms",
}


@matplotlib.rc_context(style.RC)
def draw(probes: pd.DataFrame, experiment: Experiment) -> Figure:
    """Size of stream, pre-activation and branch and share of dead units by layer: median and range over seeds.

    Args:
        probes: Columns variant, seed, epoch, layer, x_std, z_std, dead_fraction, branch_ratio (empty for
            blocks without a skip), as in reports/probe.csv.
        experiment: What the figures share.
    """
    epochs = (0, experiment.epochs)
    shown = probes[probes["epoch"].isin(epochs)]
    notes = (
        f"{curves.reading(experiment)} Over the probe's rows and all units of a layer; x is the stream after the"
        " block, z what its linear map gives."
    )
    if curves.are_too_many(experiment):
        return _panels_each(shown, experiment, notes)
    figure = Figure(figsize=(style.WIDTH, 6.0), layout="constrained")
    panels = figure.subplots(len(_ROWS), 2, sharex=True, sharey="row")
    for (column, label), pair in zip(_ROWS.items(), panels, strict=True):
        rows = shown.dropna(subset=column)
        pair[0].set_ylabel(label)
        _vertical(pair[0], rows, column, experiment)
        for axes, epoch in zip(pair, epochs, strict=True):
            curves.layer_axis(axes, experiment.depth, ends=False)
            for variant in experiment.diverged:
                part = rows[(rows["variant"] == variant) & (rows["epoch"] == epoch)]
                if len(part):
                    spread = curves.over_seeds(part, "layer", column)
                    curves.curve(axes, spread, experiment, variant, layers=True)
            if not (rows["epoch"] == epoch).any():
                lost = not (shown["epoch"] == epoch).any() or len(rows)
                left = "that is left " * experiment.any_diverged()
                curves.say(axes, "all seeds diverged before" if lost else f"no variant {left}has a skip connection")
    for axes, title in zip(panels[0], ("at initialisation", f"after epoch {experiment.epochs}"), strict=True):
        axes.set_title(title, loc="left")
    for axes in panels[-1]:
        axes.set_xlabel("layer (block)")
    return style.finish(figure, experiment, _TITLE, curves.handles(experiment), notes)


def _panels_each(shown: pd.DataFrame, experiment: Experiment, notes: str) -> Figure:
    """The layers of many variants: a row of panels for each, with initialisation and end, and the others in grey."""
    start, end = "at initialisation", f"after epoch {experiment.epochs}"
    columns = [label.replace("\n", ", ") for label in _ROWS.values()]
    figure, panels = style.rows(experiment, 0.62, columns, x="layer (block)", share_x=experiment.is_of_one_depth)
    for place, column in enumerate(_ROWS):
        rows = shown.dropna(subset=column)
        _vertical(next(iter(panels.values()))[place], rows, column, experiment, short=True)
        first, last = (
            {str(name): curves.over_seeds(part, "layer", column) for name, part in at.groupby("variant")}
            for at in (rows[rows["epoch"] == 0], rows[rows["epoch"] == experiment.epochs])
        )
        for variant, pair in panels.items():
            curves.layer_axis(pair[place], experiment.depths[variant], ends=False)
            absent = "no skip connection" if (shown["variant"] == variant).any() else "all seeds diverged before"
            curves.panel(pair[place], experiment, variant, last, first, absent)
    handles = curves.panel_handles(experiment, end, start)
    return style.finish(figure, experiment, _TITLE, handles, notes)


def _vertical(axes: Axes, rows: pd.DataFrame, column: str, experiment: Experiment, *, short: bool = False) -> None:
    """The vertical axis of a quantity."""
    if column == "dead_fraction":
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    else:
        curves.log_axis(axes, curves.to_show(rows, ["epoch", "layer"], column, experiment), short=short)
