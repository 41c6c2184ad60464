"""signals and gradients of networks at their start, beside what theory says of them."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_THEORY = (0, (4, 2))

# Column of studies/initialisation/reports/layers.csv to the label of its axis
SIGNALS = {"power": "power q of the stream\nE[x²]", "cosine": "cosine of two inputs'\nstreams"}
GRADIENTS = {"delta_norm": "‖δ‖ = ‖∂loss/∂z‖\n(Frobenius)", "weight_grad_norm": "‖∂loss/∂W‖\n(Frobenius)"}


@matplotlib.rc_context(style.RC)
def draw(
    layers: pd.DataFrame,
    shattering: pd.DataFrame | None,
    experiment: Experiment,
    columns: Mapping[str, str],
    title: str,
) -> Figure:
    """Each quantity by layer, median and range over seeds, with theory as a dashed line where there is one.

    Args:
        layers: Columns variant, seed, layer, those of ``columns`` and each again with ``_theory``, as in
            studies/initialisation/reports/layers.csv.
        shattering: Columns variant, seed, distance, correlation, for a further panel; None: no such panel.
        experiment: What the figures share.
        columns: Column to the label of its axis; a cosine stands on a linear axis, all else on a logarithmic one.
        title: Of the figure.
    """
    count = len(columns) + (shattering is not None)
    figure = Figure(figsize=(style.WIDTH, 3.0), layout="constrained")
    panels = figure.subplots(1, count)
    zero = theory = False
    for (column, label), axes in zip(columns.items(), panels, strict=False):
        logarithmic = column != "cosine"
        axes.set_title(label, loc="left")
        axes.set_xlabel("layer (block)")
        if logarithmic:
            curves.log_axis(axes, curves.to_show(layers.dropna(subset=column), ["layer"], column, experiment))
        for variant in experiment.diverged:
            rows = layers[layers["variant"] == variant].dropna(subset=column)
            spread = curves.over_seeds(rows, "layer", column)
            curves.curve(axes, spread, experiment, variant)
            zero |= logarithmic and curves.zeros(axes, spread, experiment, variant)
            theory |= _theory(axes, rows, column, experiment, variant)
        curves.layer_axis(axes, experiment.depth, ends=False)
    if shattering is not None:
        axes = panels[-1]
        axes.set_title("correlation of input gradients\nat two points of a line", loc="left")
        axes.set_xlabel("distance, share of the line")
        for variant in experiment.diverged:
            rows = shattering[shattering["variant"] == variant]
            curves.curve(axes, curves.over_seeds(rows, "distance", "correlation"), experiment, variant)
    handles = curves.handles(experiment)
    notes = curves.reading(experiment)
    if theory:
        handles.append(Line2D([], [], color=style.DARK, linewidth=1.1, linestyle=_THEORY, label="theory"))
        notes += " Dashed: theory, for infinite width; see gradflow/theory.py for its sources."
    if zero:
        handles.append(curves.zero_handle())
    return style.finish(figure, experiment, title, handles, notes)


def _theory(axes: Axes, rows: pd.DataFrame, column: str, experiment: Experiment, variant: str) -> bool:
    """Draw theory's line in the colour of the variant, darker; tell whether there is one."""
    if f"{column}_theory" not in rows:
        return False
    line = rows.groupby("layer")[f"{column}_theory"].first().dropna()
    if line.empty:
        return False
    colour = 0.55 * np.array(matplotlib.colors.to_rgb(style.colour(experiment, variant)))
    axes.plot(
        line.index.to_numpy(dtype=float),
        line.to_numpy(dtype=float),
        color=tuple(colour),
        linewidth=1.0,
        linestyle=_THEORY,
        zorder=4,
    )
    return True
