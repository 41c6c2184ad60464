"""paths: through how many branches the gradient comes, before and after training, beside the binomial distribution."""

from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_BINOMIAL = (0, (1, 1))


@matplotlib.rc_context(style.RC)
def draw(paths: pd.DataFrame, widths: Mapping[str, int], experiment: Experiment) -> Figure:
    """A panel for each network, in it the share of the energy by path length.

    Args:
        paths: Columns variant, moment, seed, length, energy, share, binomial, error, as in
            studies/lesions/reports/paths.csv.
        widths: Those of the networks that are never trained, by name.
        experiment: What the figures share; its variants are those of the table.
    """
    remarks = {
        name: ", ".join(
            f"{words} {(own['energy'] * own['length']).sum() / own['seed'].nunique():.2g}"
            for moment, words in (("start", "mean length"), ("end", "after training"))
            if len(own := paths[(paths["variant"] == name) & (paths["moment"] == moment)])
        )
        for name in experiment.diverged
    }
    figure, panels = style.panels(experiment, 0.62, remarks, x="branches on the path", y="share of the energy")
    for name, axes in panels.items():
        own = paths[paths["variant"] == name]
        axes.set_xlim(-0.6, experiment.depth + 0.6)
        axes.set_ylim(0, 1.03)
        for moment, second in (("start", True), ("end", False)):
            rows = own[own["moment"] == moment]
            if len(rows):
                spread = curves.over_seeds(rows, "length", "energy")
                curves.curve(axes, spread, experiment, name, second=second, layers=True, alone=True)
        start = own[own["moment"] == "start"].groupby("length")["binomial"].first().dropna()
        axes.plot(start.index, start, color=style.GREY, linewidth=1.4, linestyle=_BINOMIAL, zorder=4)
        if own.empty:
            curves.say(axes, "each seed diverged")
    handles: list[Artist] = [
        Line2D([], [], color=style.DARK, linewidth=1.6, label="after training"),
        Line2D([], [], color=style.DARK, linewidth=1.0, linestyle=style.DASHES, label="before training"),
        Line2D([], [], color=style.GREY, linewidth=1.4, linestyle=_BINOMIAL, label="binomial, before training"),
    ]
    notes = (
        f"{curves.reading(experiment)} The gradient at the first stream is the sum over all paths, each past or through"
        " the branch of every block; v_k is the part that came through k branches. Shown is ‖v_k‖² over the sum of"
        " these; mean length: that of the paths, weighted by it."
    )
    if widths:
        notes += f" Never trained: {', '.join(f'{name} (width {width})' for name, width in widths.items())}."
    return style.finish(figure, experiment, "Through how many branches the gradient comes", handles, notes)
