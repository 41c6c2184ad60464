"""activations: what the layers carry forward, before the first step and after the last."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gradflow.figures import style

# Column of the probe to (label of the axis, scale)
_ROWS = {
    "x_std": ("stream x\nstandard deviation", "log"),
    "z_std": ("pre-activation z\nstandard deviation", "log"),
    "dead_fraction": ("dead units\nz ≤ 0 on every row", "linear"),
    "branch_ratio": ("branch over stream\nratio of their norms", "log"),
}


@matplotlib.rc_context(style.RC)
def draw(probes: pd.DataFrame, experiment: style.Experiment) -> Figure:
    """Size of stream, pre-activation and branch and share of dead units by layer: median and range over seeds.

    Args:
        probes: Columns variant, seed, epoch, layer, x_std, z_std, dead_fraction, branch_ratio (empty for
            blocks without a skip), as in reports/probe.csv.
        experiment: What the figures share.
    """
    figure = Figure(figsize=(style.WIDTH, 6.0), layout="constrained")
    panels = figure.subplots(len(_ROWS), 2, sharex=True, sharey="row")
    for (column, (label, scale)), pair in zip(_ROWS.items(), panels, strict=True):
        pair[0].set_ylabel(label)
        pair[0].set_yscale(scale)
        for axes, epoch in zip(pair, (0, experiment.epochs), strict=True):
            style.layer_axis(axes, experiment.depth, ends=False)
            rows = probes[probes["epoch"] == epoch].dropna(subset=column)
            for variant in experiment.diverged:
                spread = style.over_seeds(rows[rows["variant"] == variant], "layer", column)
                if len(spread.at):
                    style.curve(axes, spread, experiment.look(variant), mark=experiment.depth <= 40)
            if rows.empty:
                none = probes[column].isna().all()
                style.say(axes, "no variant has a skip connection" if none else "all seeds diverged before")
        if scale == "log":
            style.log_axis(pair[0])
        else:
            pair[0].set_ylim(-0.03, 1.03)
            pair[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    panels[0][0].set_title("at initialisation", loc="left")
    panels[0][1].set_title(f"after epoch {experiment.epochs}", loc="left")
    for axes in panels[-1]:
        axes.set_xlabel("layer (block)")
    notes = (
        "Line: median over seeds; band: smallest to largest. Over the probe's rows and all units of a layer;"
        " x is the stream after the block, z what its linear map gives."
    )
    return style.finish(figure, experiment, "Activations by layer", experiment.handles(), notes)
