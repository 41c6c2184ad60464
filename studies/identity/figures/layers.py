"""gradients, activations and paths of the identity study: quantities by layer, at the start and at the end."""

from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

# Column of the probe to the label of its axis
GRADIENTS = {"delta_norm": "‖δ‖ = ‖∂loss/∂z‖\n(Frobenius)", "weight_grad_norm": "‖∂loss/∂W‖\n(Frobenius)"}
ACTIVATIONS = {
    "z_mean": "pre-activation z\nmean",
    "z_std": "pre-activation z\nstandard deviation",
    "x_mean": "stream x\nmean",
    "x_std": "stream x\nstandard deviation",
}
PATHS = {
    "gradient_gain": "‖∂loss/∂x‖ before a\nblock over behind it",
    "split_cosine": "gradient along skip\nand through branch\ncosine",
    "contribution_share": "block's share of\nall that is added",
}
_LINEAR = {"z_mean", "x_mean", *PATHS}
_ABSENT = " Where there is no skip connection, no gradient or nothing added, there is no line."
_SYMBOLS = "; x is the stream after the block, z what its linear map gives"


@matplotlib.rc_context(style.RC)
def draw(probes: pd.DataFrame, experiment: Experiment, rows: Mapping[str, str], title: str) -> Figure:
    """Each quantity by layer before the first step and after the last: median and range over seeds.

    Args:
        probes: Columns variant, seed, step, layer and those of ``rows``, as in studies/identity/reports/probe.csv.
        experiment: What the figures share; an epoch is a step.
        rows: Column to the label of its axis, which is linear for means, :data:`PATHS`, and logarithmic for all else.
        title: Of the figure.
    """
    steps = (0, experiment.epochs)
    shown = probes[probes["step"].isin(steps)]
    figure = Figure(figsize=(style.WIDTH, 0.3 + 1.7 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 2, sharex=True, sharey="row", squeeze=False)
    zero = False
    for (column, label), pair in zip(rows.items(), panels, strict=True):
        logarithmic = column not in _LINEAR
        pair[0].set_ylabel(label)
        if logarithmic:
            curves.log_axis(pair[0], curves.to_show(shown, ["step", "layer"], column, experiment))
        for axes, step in zip(pair, steps, strict=True):
            curves.layer_axis(axes, experiment.depth, ends=False)
            for variant in experiment.diverged:
                part = shown[(shown["variant"] == variant) & (shown["step"] == step)].dropna(subset=[column])
                if len(part):
                    spread = curves.over_seeds(part, "layer", column)
                    curves.curve(axes, spread, experiment, variant, layers=True)
                    zero |= logarithmic and curves.zeros(axes, spread, experiment, variant)
    for axes, name in zip(panels[0], ("before the first step", f"after step {experiment.epochs}"), strict=True):
        axes.set_title(name, loc="left")
    for axes in panels[-1]:
        axes.set_xlabel("layer (block)")
    handles = curves.handles(experiment)
    if zero:
        handles.append(curves.zero_handle())
    told = _SYMBOLS * ("x_std" in rows) + "." + _ABSENT * ("split_cosine" in rows)
    notes = f"{curves.reading(experiment)} On a fresh batch{told}"
    return style.finish(figure, experiment, title, handles, notes)
