"""by_depth: what becomes of stream, loss and best learning rate as networks get deeper."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from studies.scaling import summary
from studies.scaling.figures import setting
from studies.scaling.params import Params


@matplotlib.rc_context(style.RC)
def draw(rates: pd.DataFrame, config: Params) -> Figure:
    """A panel for each number, in it a curve for each family: median and range over seeds.

    Args:
        rates: Columns variant, seed, log2_lr, rms_change, loss, as in studies/scaling/reports/rates.csv.
        config: Parameters.
    """
    rate = config.analysis.log2_lr
    titles = {
        "rms_change": f"RMS change of the last stream\nafter {config.measure.steps} steps, rate 2^{rate}",
        "loss": f"loss after {config.train.steps} steps,\nrate 2^{rate}",
        "lowest_loss": f"loss after {config.train.steps} steps,\nbest rate of each seed",
        "best_log2_lr": "log2 of the rate with\nthe lowest loss",
    }
    experiment = setting.experiment(config)
    table = pd.concat(
        {
            (family, depth): summary.by_seed(rates[rates["variant"] == name], rate)
            for family, members in summary.families(config).items()
            for name, depth in members.items()
        },
        names=["family", "depth"],
    ).reset_index()
    depths = sorted(table["depth"].unique())
    figure = Figure(figsize=(style.WIDTH, 4.2), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True).ravel()
    for axes, (column, title) in zip(grid, titles.items(), strict=True):
        axes.set_title(title, loc="left", parse_math=False)
        best = column == "best_log2_lr"
        if best:
            axes.set_ylim(min(config.train.log2_lrs) - 0.5, max(config.train.log2_lrs) + 0.5)
        else:
            curves.log_axis(axes, table[column].to_numpy(dtype=float))
        for family in experiment.diverged:
            spread = curves.over_seeds(table[table["family"] == family], "depth", column)
            if best:
                curves.points(axes, spread, experiment, family, hollow=False)
            else:
                curves.curve(axes, spread, experiment, family, layers=True)
        if table[column].isna().all():
            curves.say(axes, "each training diverged")
    grid[0].set_xscale("log", base=2)
    grid[0].set_xlim(depths[0] / 1.25, depths[-1] * 1.25)
    grid[0].xaxis.set_ticks(depths, [str(depth) for depth in depths])
    grid[0].xaxis.set_ticks([], minor=True)
    for axes in grid[2:]:
        axes.set_xlabel("blocks")
    notes = (
        f"{curves.reading(experiment)} Loss and stream on {config.measure.rows} inputs that no network was trained on."
    )
    title, handles = "What becomes of networks with their depth", curves.handles(experiment)
    return style.finish(figure, experiment, title, handles, notes + setting.lost(rates))
