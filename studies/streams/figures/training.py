"""training: accuracy by step, a panel for each start, learning rate and depth."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment


@matplotlib.rc_context(style.RC)
def draw(history: pd.DataFrame, experiment: Experiment) -> Figure:
    """Accuracy on validation sequences by step.

    Args:
        history: Columns panel, its title; variant, a kind of network, one of each in a panel; seed, step, val_accuracy.
        experiment: What the figures share; its variants are the kinds.
    """
    titles = list(dict.fromkeys(history["panel"]))
    columns = min(3, len(titles))
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(style.WIDTH, 2.05 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes in grid.ravel()[len(titles) :]:
        axes.set_visible(False)
    for axes, title in zip(grid.ravel(), titles, strict=False):
        axes.set_title(title.replace(", ", ",\n", 1), loc="left")
        axes.set_ylim(0, 1.03)
        for variant, own in history[history["panel"] == title].groupby("variant", sort=False):
            curves.curve(axes, curves.over_seeds(own, "step", "val_accuracy"), experiment, str(variant))
    for axes in grid.ravel()[: len(titles)][-columns:]:  # those with none below
        axes.set_xlabel("step")
    for axes in grid[:, 0]:
        axes.set_ylabel("validation accuracy")
    title = "Who learns to copy, and when"
    return style.finish(figure, experiment, title, curves.handles(experiment), curves.reading(experiment))
