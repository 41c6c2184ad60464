"""starts: norm of the stream and of its gradient behind each sublayer, by initialisation and place of the norms."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_COLUMNS = {
    "‖x‖ before training": ("norm", "start"),
    "‖∂x‖ / ‖∂x_L‖ before training": ("gradient", "start"),
    "‖∂x‖ / ‖∂x_L‖ after training": ("gradient", "end"),
}


@matplotlib.rc_context(style.RC)
def draw(streams: pd.DataFrame, experiment: Experiment) -> Figure:
    """A row for each place of the norms, a line for each initialisation, by the share of the sublayers that is passed.

    Args:
        streams: Columns panel, the place of the norms; variant, the initialisation; seed, moment, passed, norm,
            gradient relative to the last stream's.
        experiment: What the figures share; its variants are the initialisations.
    """
    names = list(dict.fromkeys(streams["panel"]))
    figure = Figure(figsize=(style.WIDTH, 0.4 + 1.9 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), len(_COLUMNS), squeeze=False, sharex=True, sharey="col")
    for panels, (title, (name, moment)) in zip(grid.T, _COLUMNS.items(), strict=True):
        shown = streams[streams["moment"] == moment].dropna(subset=name)
        curves.log_axis(panels[0], curves.to_show(shown, ["panel", "passed"], name, experiment))
        panels[0].set_title(title, loc="left", parse_math=False)
        panels[-1].set_xlabel("share of the sublayers passed")
        for axes, panel in zip(panels, names, strict=True):
            for variant, own in shown[shown["panel"] == panel].groupby("variant", sort=False):
                curves.curve(axes, curves.over_seeds(own, "passed", name), experiment, str(variant))
    for axes, panel in zip(grid[:, 0], names, strict=True):
        axes.set_ylabel(panel)
    notes = (
        f"{curves.reading(experiment)} ‖x‖: norm of the stream; ‖∂x‖: norm of the gradient of the loss by it, over that"
        f" of the last stream; root mean squares over the positions of all sequences."
    )
    title = "Stream and gradient behind each sublayer, by initialisation"
    return style.finish(figure, experiment, title, curves.handles(experiment), notes)
