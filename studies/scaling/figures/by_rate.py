"""by_rate: the loss against the learning rate, for each depth."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gradflow.drawing import curves, style
from studies.scaling import summary
from studies.scaling.figures import setting
from studies.scaling.params import Params

_LARGEST = 100  # loss that the axes show; predicting 0 costs 1


@matplotlib.rc_context(style.RC)
def draw(rates: pd.DataFrame, config: Params) -> Figure:
    """A panel for each family, in it a curve for each depth: median and range over seeds.

    Args:
        rates: Columns variant, seed, log2_lr, rms_change, loss, as in studies/scaling/reports/rates.csv.
        config: Parameters.
    """
    experiment, families = setting.experiment(config), summary.families(config)
    depths = sorted({depth for members in families.values() for depth in members.values()})
    shades = matplotlib.colormaps["viridis"](np.linspace(0.9, 0, len(depths)))  # the deeper, the darker
    colours = dict(zip(depths, shades, strict=True))
    losses = rates["loss"].to_numpy(dtype=float)
    remarks = {family: setting.in_words(config, family) for family in families}
    figure, panels = style.panels(experiment, 0.6, remarks, x="log2 of the learning rate", y="loss")
    for family, axes in panels.items():
        curves.log_axis(axes, losses[losses <= _LARGEST])
        axes.set_xlim(min(config.train.log2_lrs) - 0.4, max(config.train.log2_lrs) + 0.4)
        axes.axvline(config.analysis.log2_lr, color=style.GREY, linewidth=0.9, linestyle=":", zorder=1)
        axes.xaxis.set_ticks(sorted(config.train.log2_lrs))
        for name, depth in families[family].items():
            spread = curves.over_seeds(rates[rates["variant"] == name], "log2_lr", "loss")
            axes.fill_between(spread.at, spread.low, spread.high, color=colours[depth], alpha=0.12, linewidth=0)
            axes.plot(spread.at, spread.median, color=colours[depth], linewidth=1.4, marker="o", markersize=2.6)
        if rates.loc[rates["variant"].isin(families[family]), "loss"].isna().all():
            curves.say(axes, "each training diverged")
    handles: list[Artist] = [
        Line2D([], [], color=colours[depth], linewidth=2.2, label=f"{depth} block{'s' * (depth != 1)}")
        for depth in depths
    ]
    notes = (
        f"{curves.reading(experiment)} Loss after {config.train.steps} steps on {config.measure.rows} inputs that no"
        f" network was trained on. Dotted: the rate at which depths are compared.{setting.lost(rates)}"
    )
    if (losses > _LARGEST).any():
        notes += f" Losses above {_LARGEST} leave the axes."
    return style.finish(figure, experiment, "Loss by learning rate and depth", handles, notes)
