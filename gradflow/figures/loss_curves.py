"""loss_curves: loss and accuracy over the training."""

import math

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.figures import style


@matplotlib.rc_context(style.RC)
def draw(history: pd.DataFrame, experiment: style.Experiment) -> Figure:
    """Train and validation loss, and validation accuracy, by epoch: median and range over seeds.

    Args:
        history: Columns variant, seed, epoch, train_loss, val_loss, val_accuracy, as in reports/history.csv.
        experiment: What the figures share.
    """
    figure = Figure(figsize=(style.WIDTH, 2.9), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    losses.set_yscale("log")
    losses.axhline(math.log(2), color=style.GREY, linewidth=0.9, linestyle=":", zorder=1)
    for axes in (losses, accuracies):
        style.epoch_axis(axes, experiment.epochs)
    for variant in experiment.diverged:
        rows, look = history[history["variant"] == variant], experiment.look(variant)
        if len(rows):
            for axes, column, dashed in (
                (losses, "train_loss", True),
                (losses, "val_loss", False),
                (accuracies, "val_accuracy", False),
            ):
                style.curve(axes, style.over_seeds(rows, "epoch", column), look, dashed=dashed)
        for axes in (losses, accuracies):
            _mark_divergence(axes, experiment.diverged[variant], look)
    if history.empty:
        for axes in (losses, accuracies):
            style.say(axes, "no seed finished its first epoch: all diverged before")

    style.log_axis(losses)
    losses.set_title("loss", loc="left")
    losses.set_ylabel("cross-entropy (nats), mean over rows")
    accuracies.set_title("validation accuracy", loc="left")
    accuracies.set_ylabel("share of rows in the right class")
    lowest = min([0.45, *history["val_accuracy"]])
    accuracies.set_ylim(lowest - 0.03, 1.02)

    handles = experiment.handles()
    handles += [
        Line2D([], [], color=style.DARK, linewidth=1.6, label="validation"),
        Line2D([], [], color=style.DARK, linewidth=1.0, linestyle=style.DASHES, label="train, during the epoch"),
        Line2D([], [], color=style.GREY, linewidth=0.9, linestyle=":", label="ln 2: probability ½ for both classes"),
    ]
    notes = "Line: median over seeds; band: smallest to largest."
    if any(experiment.diverged.values()):
        handles.append(
            Line2D([], [], color=style.DARK, marker="x", linestyle="", markersize=5, label="a seed diverges")
        )
        notes += " A seed that diverged counts up to its last finite epoch."
    return style.finish(figure, experiment, "Loss and accuracy over the training", handles, notes)


def _mark_divergence(axes: Axes, epochs: list[int], look: style.Look) -> None:
    if not epochs:  # the layout would count an empty artist as one without end
        return
    axes.plot(
        epochs,
        [1.0] * len(epochs),
        transform=axes.get_xaxis_transform(),
        color=look.colour,
        marker="x",
        linestyle="",
        markersize=5,
        clip_on=False,
        zorder=5,
    )
