"""loss_curves: loss and accuracy over the training."""

import math

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment


@matplotlib.rc_context(style.RC)
def draw(history: pd.DataFrame, experiment: Experiment) -> Figure:
    """Train and validation loss, and validation accuracy, by epoch: median and range over seeds.

    Args:
        history: Columns variant, seed, epoch, train_loss, val_loss, val_accuracy, as in reports/history.csv;
            a variant may be missing.
        experiment: What the figures share.
    """
    figure = Figure(figsize=(style.WIDTH, 2.9), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    values = [curves.to_show(history, ["epoch"], name, experiment) for name in ("train_loss", "val_loss")]
    curves.log_axis(losses, np.concatenate([*values, [math.log(2)]]))
    losses.axhline(math.log(2), color=style.GREY, linewidth=0.9, linestyle=":", zorder=1)
    losses.set_title("loss", loc="left")
    losses.set_ylabel("cross-entropy (nats), mean over rows")
    accuracies.set_ylim(min([0.45, *history["val_accuracy"]]) - 0.03, 1.02)
    accuracies.set_title("validation accuracy", loc="left")
    accuracies.set_ylabel("share of rows in the right class")
    for variant in experiment.diverged:
        rows = history[history["variant"] == variant]
        if len(rows):
            train, val, accuracy = (
                curves.over_seeds(rows, "epoch", name) for name in ("train_loss", "val_loss", "val_accuracy")
            )
            curves.curve(losses, train, experiment, variant, second=True)
            curves.curve(losses, val, experiment, variant)
            curves.curve(accuracies, accuracy, experiment, variant)
    for axes in (losses, accuracies):
        curves.epoch_axis(axes, experiment.epochs)
        axes.set_xlabel("epoch")
        _mark_divergence(axes, experiment)
        if history.empty:
            curves.say(axes, "no seed finished its first epoch: all diverged before")

    handles = [
        *curves.handles(experiment),
        Line2D([], [], color=style.DARK, linewidth=1.6, label="validation"),
        Line2D([], [], color=style.DARK, linewidth=1.0, linestyle=style.DASHES, label="train, during the epoch"),
        Line2D([], [], color=style.GREY, linewidth=0.9, linestyle=":", label="ln 2: probability ½ for both classes"),
    ]
    if experiment.any_diverged():
        handles.append(
            Line2D([], [], color=style.DARK, marker="x", linestyle="", markersize=5, label="a seed diverges")
        )
    return style.finish(figure, experiment, "Loss and accuracy over the training", handles, curves.reading(experiment))


def _mark_divergence(axes: Axes, experiment: Experiment) -> None:
    """A cross on the upper edge at each epoch in which a seed of a variant diverged."""
    for variant, seeds in experiment.diverged.items():
        if seeds:  # the layout would take an empty artist for one without end
            axes.plot(
                list(seeds.values()),
                np.ones(len(seeds)),
                transform=curves.beside(axes, axes.get_xaxis_transform(), experiment, variant),
                color=style.colour(experiment, variant),
                marker="x",
                linestyle="",
                markersize=5,
                clip_on=False,
                zorder=5,
            )
