"""policies: the accuracy that is left at each share of the blocks, by policy."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment
from studies.routing import summary


@matplotlib.rc_context(style.RC)
def draw(policies: pd.DataFrame, experiment: Experiment) -> Figure:
    """A panel for each network with the accuracy under all policies; without such a network the first one's.

    Args:
        policies: Columns variant, seed, policy, target, share, accuracy and others, as in
            studies/routing/reports/policies.csv.
        experiment: What the figures share.
    """
    names = [name for name in summary.POLICIES if name in set(policies["policy"])]
    learned = policies["policy"].str.startswith("learned")
    variants = list(policies[learned]["variant"].unique()) or list(experiment.diverged)[:1]
    labels = {name: summary.POLICIES[name] for name in names}
    of_policies = Experiment(
        dict.fromkeys(labels.values(), experiment.depth),
        experiment.seeds,
        experiment.epochs,
        {label: {} for label in labels.values()},
        experiment.caption,
    )
    figure = Figure(figsize=(style.WIDTH, 3.4 * len(variants)), layout="constrained")
    panels = figure.subplots(len(variants), 1, squeeze=False)[:, 0]
    for axes, variant in zip(panels, variants, strict=True):
        own = policies[policies["variant"] == variant]
        axes.set_title(experiment.label(variant), loc="left")
        axes.set_ylabel("validation accuracy")
        axes.set_xlim(0, 1.02)
        for name, label in labels.items():
            rows = own[own["policy"] == name]
            if len(rows):
                curves.curve(axes, curves.over_seeds(rows, "target", "accuracy"), of_policies, label, layers=True)
        if own.empty:
            curves.say(axes, "each seed diverged")
    panels[-1].set_xlabel("share of the blocks that is asked for")
    notes = (
        f"{curves.reading(of_policies)} What runs differs from what is asked for by some hundredths, more with learned"
        " policies, which may run less; policies.csv has both."
    )
    title = "What is left of the accuracy when rows skip blocks"
    return style.finish(figure, of_policies, title, curves.handles(of_policies), notes)
