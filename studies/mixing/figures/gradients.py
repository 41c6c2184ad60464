"""gradients: norms of the gradients of all blocks, before and after training, a panel for each network."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.curves import Spread
from gradflow.drawing.experiment import Experiment
from studies.mixing.summary import span


@matplotlib.rc_context(style.RC)
def draw(layers: pd.DataFrame, experiment: Experiment) -> Figure:
    """A panel for each network: medians and ranges over seeds.

    Args:
        layers: Columns variant, seed, layer, weight_grad_norm, moment and others, as in
            studies/mixing/reports/layers.csv.
        experiment: What the figures share.
    """
    by_layer = layers.pivot(index=["variant", "moment", "seed"], columns="layer", values="weight_grad_norm")
    spans = span(by_layer).groupby(["variant", "moment"]).median()
    remarks = {
        variant: "span "
        + " → ".join(f"{spans.get((variant, moment), float('nan')):.3g}" for moment in ("start", "end"))
        for variant in experiment.diverged
    }
    figure, panels = style.panels(experiment, 0.62, remarks, x="block", y="‖∂loss/∂W‖")
    of_moments: dict[str, dict[str, Spread]] = {
        moment: {
            str(variant): curves.over_seeds(own, "layer", "weight_grad_norm")
            for variant, own in layers[layers["moment"] == moment].groupby("variant")
        }
        for moment in ("start", "end")
    }
    shown = [part for spreads in of_moments.values() for spread in spreads.values() for part in spread.median]
    for variant, axes in panels.items():
        curves.log_axis(axes, pd.Series(shown).to_numpy(dtype=float))
        curves.layer_axis(axes, experiment.depth, ends=False)
        curves.panel(axes, experiment, variant, of_moments["end"], of_moments["start"], "each seed diverged")
    handles = curves.panel_handles(experiment, "after training", "before training")
    notes = (
        f"{curves.reading(experiment)} Span: largest over smallest of the blocks, before → after, median over seeds."
    )
    return style.finish(figure, experiment, "Gradients by block", handles, notes)
