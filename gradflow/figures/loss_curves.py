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

_HIGH = 10.0  # nats; the first losses of a deep network may be 1e5 times this, and would flatten all that is learnt


@matplotlib.rc_context(style.RC)
def draw(history: pd.DataFrame, experiment: Experiment) -> Figure:
    """Train and validation loss, and validation accuracy, by epoch: median and range over seeds.

    Args:
        history: Columns variant, seed, epoch, train_loss, val_loss, val_accuracy, as in reports/history.csv;
            a variant may be missing.
        experiment: What the figures share.
    """
    if curves.are_too_many(experiment):
        return _panel_each(history, experiment)
    figure = Figure(figsize=(style.WIDTH, 2.9), layout="constrained")
    losses, accuracies = figure.subplots(1, 2)
    high = _vertical(losses, history, experiment)
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
    notes = curves.reading(experiment) + high
    return style.finish(figure, experiment, "Loss and accuracy over the training", handles, notes)


def _panel_each(history: pd.DataFrame, experiment: Experiment) -> Figure:
    """The losses of many variants: a panel for each, with the others in grey, and the accuracy at the end in words."""
    of_variants = {
        variant: rows for variant in experiment.diverged if len(rows := history[history["variant"] == variant])
    }
    ends = history[history["epoch"] == experiment.epochs].groupby("variant")["val_accuracy"].median()
    remarks = {str(variant): f"accuracy {accuracy:.3f}" for variant, accuracy in ends.items()}
    figure, panels = style.panels(experiment, 0.75, remarks, x="epoch", y="cross-entropy (nats)")
    high = _vertical(next(iter(panels.values())), history, experiment)
    train, val = (
        {variant: curves.over_seeds(rows, "epoch", name) for variant, rows in of_variants.items()}
        for name in ("train_loss", "val_loss")
    )
    absent = "no seed finished its first epoch"
    for variant, axes in panels.items():
        curves.epoch_axis(axes, experiment.epochs)
        curves.panel(axes, experiment, variant, val, train, absent)
    notes = f"{curves.reading(experiment)}{high} Accuracy: validation, median over seeds at the end."
    handles = curves.panel_handles(experiment, "validation", "train, during the epoch")
    return style.finish(figure, experiment, "Loss over the training", handles, notes)


def _vertical(axes: Axes, history: pd.DataFrame, experiment: Experiment) -> str:
    """The logarithmic axis of both losses; what the caption is to say of losses that leave it."""
    columns = ["train_loss", "val_loss"]
    values = np.concatenate([curves.to_show(history, ["epoch"], name, experiment) for name in columns])
    ends = experiment.surviving(history[history["epoch"] == experiment.epochs])
    high = ends[columns].to_numpy(dtype=float).max(initial=_HIGH)
    curves.log_axis(axes, np.concatenate([np.minimum(values, high), [math.log(2)]]))
    return f" Losses above {high:.2g} leave the axes." if values.max(initial=0.0) > high else ""


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
