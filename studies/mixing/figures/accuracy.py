"""accuracy: what each network gets right, and how unequal the gradients of its blocks are, a row a variant."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment
from studies.mixing.summary import span


@matplotlib.rc_context(style.RC)
def draw(seeds: pd.DataFrame, layers: pd.DataFrame, experiment: Experiment) -> Figure:
    """Two panels with a row a variant: median and range over seeds.

    Args:
        seeds: Columns variant, seed, accuracy, diverged and others, as in studies/mixing/reports/seeds.csv.
        layers: Columns variant, seed, layer, weight_grad_norm, moment and others, as in layers.csv.
        experiment: What the figures share.
    """
    variants = list(experiment.diverged)
    figure = Figure(figsize=(style.WIDTH, 0.6 + 0.21 * len(variants)), layout="constrained")
    accuracy, spans = figure.subplots(1, 2, sharey=True)
    accuracy.set_xlabel("validation accuracy")
    spans.set_xlabel("largest over smallest ‖∂loss/∂W‖ of the blocks")
    alive = experiment.surviving(seeds)
    by_layer = layers.pivot(index=["variant", "moment", "seed"], columns="layer", values="weight_grad_norm")
    ratios = span(by_layer).dropna()
    curves.log_axis(spans, np.array(ratios, dtype=np.float64), horizontal=True)
    for row, variant in enumerate(variants):
        colour = style.colour(experiment, variant)
        _points(accuracy, alive.loc[alive["variant"] == variant, "accuracy"].tolist(), row, colour)
        for moment, shift in (("start", -0.16), ("end", 0.16)):
            own = ratios[ratios.index.isin([variant], level=0) & ratios.index.isin([moment], level=1)]
            _points(spans, own.tolist(), row + shift, colour, hollow=moment == "start")
    accuracy.set_xlim(min(0.47, alive["accuracy"].min() - 0.03), 1.0)
    accuracy.set_ylim(len(variants) - 0.5, -0.5)
    accuracy.yaxis.set_ticks(range(len(variants)), [experiment.label(variant) for variant in variants])
    for axes in (accuracy, spans):
        axes.grid(visible=False, axis="y")
        for row in range(1, len(variants), 2):
            axes.axhspan(row - 0.5, row + 0.5, color="#F5F5F5", linewidth=0, zorder=0)
    handles = [
        Line2D([], [], color=style.DARK, marker="o", linestyle="", markersize=4, label="after training"),
        Line2D(
            [], [], color=style.DARK, marker="o", linestyle="", markersize=4, markerfacecolor="white",
            label="before training",
        ),
    ]  # fmt: skip
    notes = "Marker: median over seeds; bar: smallest to largest." if experiment.seeds > 1 else "One seed."
    return style.finish(figure, experiment, "Accuracy and gradients of mixed networks", handles, notes)


def _points(axes: Axes, values: Sequence[float], row: float, colour: str, *, hollow: bool = False) -> None:
    if values:
        axes.hlines(row, min(values), max(values), color=colour, alpha=0.4, linewidth=2.4)
        median = pd.Series(values).median()
        axes.plot(median, row, "o", color=colour, markersize=4, markerfacecolor="white" if hollow else colour, zorder=3)
