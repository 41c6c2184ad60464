"""sketches: accuracy after training with sketches, and the direction of their gradients, by the number of buckets."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_KINDS = {"balanced": "o", "anywhere": "X", "with scalars": "D"}
_BESIDE = {"balanced": 1.0, "anywhere": 1.15, "with scalars": 1.32}  # so that equal numbers of buckets are all seen
_WORDS = {"anywhere": "each row into any bucket", "with scalars": "scaled to the exact norms"}


@matplotlib.rc_context(style.RC)
def draw(trained: pd.DataFrame, gradients: pd.DataFrame, experiment: Experiment) -> Figure:
    """Accuracy on the left, on the right the cosine between the sketched and the exact gradient.

    Args:
        trained: Columns variant, seed, accuracy, of (a variant of the experiment), buckets, kind.
        gradients: Columns variant, moment, buckets, seed, cosine and others, as
            :func:`studies.memory.summary.of_seeds` finds them.
        experiment: What the figures share; its variants have exact gradients.
    """
    figure = Figure(figsize=(style.WIDTH, 2.9), layout="constrained")
    accuracy, cosine = figure.subplots(1, 2)
    known = trained.dropna(subset="accuracy")
    ticks = sorted({*trained["buckets"], *gradients["buckets"]})
    for axes, title in ((accuracy, "validation accuracy"), (cosine, "cosine to the exact gradient")):
        axes.set_title(title, loc="left")
        axes.set_xscale("log", base=2)
        axes.set_xlim(ticks[0] / 1.25, ticks[-1] * 1.25)
        axes.xaxis.set_ticks(ticks, [str(tick) for tick in ticks])
        axes.set_xlabel("buckets: rows kept of a batch")
    for variant in experiment.diverged:
        of_variant = known[known["of"] == variant]
        for kind, marker in _KINDS.items():
            own = of_variant[of_variant["kind"] == kind]
            if len(own):
                spread = curves.over_seeds(own.assign(buckets=own["buckets"] * _BESIDE[kind]), "buckets", "accuracy")
                _line(accuracy, spread, experiment, variant, marker, hollow=kind != "balanced")
        for moment, hollow in (("start", True), ("end", False)):
            own = gradients[(gradients["variant"] == variant) & (gradients["moment"] == moment)]
            if len(own):
                spread = curves.over_seeds(own, "buckets", "cosine")
                _line(cosine, spread, experiment, variant, "o", hollow=hollow, dashed=hollow)
    lowest = known["accuracy"].min() if len(known) else 0.0
    accuracy.set_ylim(np.floor(20 * lowest) / 20 - 0.005, 1.0)
    cosine.set_ylim(0, 1.03)
    kinds = [kind for kind in _WORDS if kind in set(known["kind"])]
    handles: list[Artist] = [
        *curves.handles(experiment),
        Line2D([], [], color=style.DARK, linestyle=style.DASHES, linewidth=1.0, label="before training"),
        *(
            Line2D([], [], color=style.DARK, marker=_KINDS[kind], ls="", markerfacecolor="white", label=_WORDS[kind])
            for kind in kinds
        ),
    ]
    reading = "Marker: median over seeds; bar: smallest to largest." if experiment.seeds > 1 else "One seed."
    notes = (
        f"{reading} At the right end of the accuracies: trained with exact gradients. Hollow marks there stand"
        " beside their number of buckets. Cosine: a mean over blocks and sketches, of networks trained with"
        " exact gradients."
    )
    return style.finish(figure, experiment, "Training with sketched activations", handles, notes)


def _line(
    axes: Axes,
    spread: curves.Spread,
    experiment: Experiment,
    variant: str,
    marker: str,
    *,
    hollow: bool,
    dashed: bool = False,
) -> None:
    """Medians joined by a line and bars from smallest to largest, beside those of other variants."""
    colour, where = style.colour(experiment, variant), curves.beside(axes, axes.transData, experiment, variant)
    axes.vlines(spread.at, spread.low, spread.high, color=colour, alpha=0.35, linewidth=2.4, transform=where)
    axes.plot(
        spread.at,
        spread.median,
        color=colour,
        linewidth=1.0 if dashed else 1.4,
        linestyle=style.DASHES if dashed else "-",
        marker=marker,
        markersize=4.5,
        markerfacecolor="white" if hollow else colour,
        transform=where,
    )
