"""twin: perceptrons with and without a skip by layer: what lenses miss, what probes tell, networks less a block."""

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_CHANCE = 0.1  # ten digits


@matplotlib.rc_context(style.RC)
def draw(layers: pd.DataFrame, experiment: Experiment) -> Figure:
    """Three panels by layer.

    Args:
        layers: Columns variant, seed, layer, logit, tuned, own, next, left_out, as in
            studies/streams/reports/twin_layers.csv.
        experiment: What is shared.
    """
    figure = Figure(figsize=(style.WIDTH, 2.7), layout="constrained")
    lenses, probes, lesions = figure.subplots(1, 3)
    for variant, own in layers.groupby("variant", sort=False):
        for axes, solid, dashed in ((lenses, "logit", "tuned"), (probes, "next", "own"), (lesions, "left_out", "")):
            for column in filter(None, (solid, dashed)):
                spread = curves.over_seeds(own.dropna(subset=column), "layer", column)
                curves.curve(axes, spread, experiment, str(variant), second=column == dashed)
    lenses.set_title("What a lens misses", loc="left")
    lenses.set_ylabel("KL(network ‖ lens), nats")
    lenses.set_ylim(bottom=0)
    probes.set_title("A probe, one block later", loc="left")
    lesions.set_title("One block left out", loc="left")
    for axes, x in ((lenses, "stream behind block"), (probes, "stream behind block"), (lesions, "block")):
        ticks = curves.layer_ticks(experiment.depth)
        axes.set_xticks(ticks if axes is lesions else [0, *ticks[1:]])
        axes.set_xlabel(x)
        if axes is not lenses:
            axes.set_ylim(0, 1.03)
            axes.set_ylabel("validation accuracy")
            axes.axhline(_CHANCE, color=style.GREY, linewidth=0.8, linestyle=(0, (1, 1)))
    handles: list[Artist] = [
        *curves.handles(experiment),
        Line2D([], [], color=style.DARK, linewidth=1.6, label="logit lens; probe on the next stream; lesion"),
        Line2D(
            [], [], color=style.DARK, linewidth=1.0, linestyle=style.DASHES, label="tuned lens; probe on its own stream"
        ),
        Line2D([], [], color=style.GREY, linewidth=0.8, linestyle=(0, (1, 1)), label="guessing"),
    ]
    notes = (
        f"{curves.reading(experiment)} At 0 the stream before the first block. A probe is a softmax regression of the"
        " digit on one stream; on the next one it is used as it is. Where a block is left out, its stream goes on"
        " unchanged."
    )
    return style.finish(figure, experiment, "Does the stream keep its basis?", handles, notes)
