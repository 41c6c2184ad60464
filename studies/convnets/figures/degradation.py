"""degradation: train loss after training, and gradients before it, by the number of layers."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_ROWS = {"train_loss": "train loss, last epoch", "gradient_ratio": "‖∂loss/∂W‖ before training,\nlargest over smallest"}


@matplotlib.rc_context(style.RC)
def draw(ends: pd.DataFrame, panels: Sequence[str], experiment: Experiment) -> Figure:
    """A column for each panel, by the number of layers: train loss, and the ratio of gradient norms.

    Args:
        ends: A row a network and seed: panel, variant (a kind of network), layers, seed, train_loss (nan of a seed that
            diverged), gradient_ratio.
        panels: Those to show, from left to right.
        experiment: What is shared; its variants are the kinds of networks.
    """
    figure = Figure(figsize=(style.WIDTH, 4.6), layout="constrained")
    grid = figure.subplots(len(_ROWS), len(panels), squeeze=False, sharex=True, sharey="row")
    layers = sorted(set(ends["layers"]))
    for row, (name, label) in zip(grid, _ROWS.items(), strict=True):
        row[0].set_ylabel(label)
        curves.log_axis(row[0], ends[name].dropna().to_numpy(dtype=float))
        for axes, panel in zip(row, panels, strict=True):
            for kind in experiment.diverged:
                own = ends[(ends["panel"] == panel) & (ends["variant"] == kind)].dropna(subset=name)
                if len(own):
                    curves.curve(axes, curves.over_seeds(own, "layers", name), experiment, kind, layers=True)
    for axes, panel in zip(grid[0], panels, strict=True):
        lines = style.wrap(panel, style.RC["axes.titlesize"], 0.8 * style.WIDTH * 72 / len(panels))
        axes.set_title("\n".join(lines), loc="left")
    for axes in grid[-1]:
        axes.set_xscale("log")
        axes.set_xlim(layers[0] / 1.25, layers[-1] * 1.25)
        axes.xaxis.set_major_locator(FixedLocator(layers))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("layers")
    lost = " Of seeds that diverged there is no train loss." * experiment.any_diverged()
    reading = "One seed." if experiment.seeds == 1 else "Line or marker: median over seeds; band or bar: all of them."
    notes = f"{reading}{lost} Layers: stem, convolutions of blocks, head. Gradients: of the first batch, by layer."
    return style.finish(figure, experiment, "Plain and residual networks by depth", curves.handles(experiment), notes)
