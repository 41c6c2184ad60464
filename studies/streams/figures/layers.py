"""layers: norm of the stream, of its gradient, and cosine between positions behind each sublayer."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_MOMENTS = {"start": "before training", "end": "after training"}
_LABELS = {"norm": "‖x‖", "gradient": "‖∂x‖ / ‖∂x_L‖", "cosine": "cosine between positions"}


@matplotlib.rc_context(style.RC)
def draw(streams: pd.DataFrame, experiment: Experiment) -> Figure:
    """A row before and one after training, by the share of the sublayers that is passed.

    Args:
        streams: Columns variant, seed, moment, passed, norm, gradient relative to the last stream's, cosine.
        experiment: What the figures share; its variants are those to show.
    """
    figure = Figure(figsize=(style.WIDTH, 4.2), layout="constrained")
    grid = figure.subplots(2, len(_LABELS), sharex=True)
    for panels, (moment, when) in zip(grid, _MOMENTS.items(), strict=True):
        own = streams[streams["moment"] == moment]
        whole = own[~own["variant"].isin([name for name, lost in experiment.diverged.items() if lost])]
        within = whole if moment == "end" and len(whole) else own  # what has diverged may leave the axes
        panels[0].set_ylabel(when)
        for axes, name in zip(panels, _LABELS, strict=True):
            if name == "cosine":
                axes.set_ylim(min(0.0, own[name].min()) - 0.03, 1.03)
            else:
                curves.log_axis(axes, within[name].dropna().to_numpy(dtype=float))
            for variant, of_variant in own.groupby("variant", sort=False):
                curves.curve(axes, curves.over_seeds(of_variant, "passed", name), experiment, str(variant))
    for axes, label in zip(grid[0], _LABELS.values(), strict=True):
        axes.set_title(label, loc="left", parse_math=False)
    for axes in grid[-1]:
        axes.set_xlabel("share of the sublayers passed")
    notes = (
        f"{curves.reading(experiment)} ‖x‖: norm of the stream; ‖∂x‖: norm of the gradient of the loss by it, over that"
        " of the last stream; root mean squares over the positions of all sequences."
    )
    title = "Stream and gradient behind each sublayer"
    return style.finish(figure, experiment, title, curves.handles(experiment), notes)
