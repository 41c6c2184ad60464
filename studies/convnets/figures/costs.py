"""costs: what networks reach, by their multiply-adds."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_PANELS = {"val_accuracy": "validation accuracy", "train_loss": "train loss, last epoch"}


@matplotlib.rc_context(style.RC)
def draw(ends: pd.DataFrame, experiment: Experiment) -> Figure:
    """Two panels by the multiply-adds of an image: validation accuracy and train loss.

    Args:
        ends: A row a network and seed that did not diverge: variant, multiply_adds, seed, val_accuracy, train_loss.
        experiment: What is shared; names the networks.
    """
    figure = Figure(figsize=(style.WIDTH, 2.7), layout="constrained")
    ends = ends.assign(thousands=ends["multiply_adds"] / 1000)
    for axes, (name, label) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
        curves.log_axis(axes, ends["thousands"].to_numpy(dtype=float), horizontal=True, short=True)
        axes.set(xlabel="thousand multiply-adds of an image", ylabel=label)
        if name == "train_loss":
            curves.log_axis(axes, ends[name].to_numpy(dtype=float))
        for variant, own in ends.groupby("variant", sort=False):
            spread = curves.over_seeds(own, "thousands", name)
            curves.points(axes, spread, experiment, str(variant), hollow=False)
        if name == "val_accuracy" and len(ends):
            low, high = ends[name].min(), ends[name].max()
            room = max(0.005, 0.1 * (high - low))
            axes.set_ylim(low - room, min(1.002, high + room))
    reading = "One seed." if experiment.seeds == 1 else "Marker: median over seeds; bar: all of them."
    lost = " Seeds that diverged are left out." * experiment.any_diverged()
    title = "Blocks and shortcuts: what they cost and reach"
    return style.finish(figure, experiment, title, curves.handles(experiment), f"{reading}{lost}")
