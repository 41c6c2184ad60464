"""reading: what lenses read behind each sublayer, and what each sublayer itself writes to the answer."""

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment


@matplotlib.rc_context(style.RC)
def draw(reading: pd.DataFrame, experiment: Experiment) -> Figure:
    """Two panels, by the share of the sublayers that is passed.

    Args:
        reading: Columns variant, seed, passed, logit, tuned, direct.
        experiment: What the figures share; its variants are those to show.
    """
    figure = Figure(figsize=(style.WIDTH, 2.9), layout="constrained")
    lenses, written = figure.subplots(1, 2)
    for variant in experiment.diverged:
        own = reading[reading["variant"] == variant]
        curves.curve(lenses, curves.over_seeds(own, "passed", "logit"), experiment, variant)
        curves.curve(lenses, curves.over_seeds(own, "passed", "tuned"), experiment, variant, second=True)
        if own["direct"].notna().all():
            curves.curve(written, curves.over_seeds(own, "passed", "direct"), experiment, variant)
    if not written.lines:
        curves.say(written, "no network adds to a stream")
    lenses.set_title("What a lens misses", loc="left")
    lenses.set_ylabel("KL(network ‖ lens), nats")
    written.set_title("What each sublayer gives to the right token", loc="left")
    written.set_ylabel("logit, less the mean of all tokens")
    for axes in (lenses, written):
        axes.set_xlabel("share of the sublayers passed")
    handles: list[Artist] = [
        *curves.handles(experiment),
        Line2D([], [], color=style.DARK, linewidth=1.6, label="logit lens"),
        Line2D([], [], color=style.DARK, linewidth=1.0, linestyle=style.DASHES, label="tuned lens"),
    ]
    notes = (
        f"{curves.reading(experiment)} Where the next token can be told. Right: with the last norm held where it is; at"
        " 0 the embedding; networks that do not add to a stream have no such parts."
    )
    return style.finish(figure, experiment, "What the stream says behind each sublayer", handles, notes)
