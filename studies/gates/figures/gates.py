"""gates: how far gates that read the stream open over the plane, beside the boundary between the classes."""

import math
from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from gradflow.data.dataset import Points
from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

Disc = tuple[float, float, float]  # x1 and x2 of its centre, its radius
_MAP = matplotlib.colormaps["viridis"]


@matplotlib.rc_context(style.RC)
def draw(
    plane: pd.DataFrame, half: float, rows: Mapping[str, Points], discs: Mapping[str, Disc], experiment: Experiment
) -> Figure:
    """A row for each network: before training, and after it.

    Args:
        plane: Columns variant, moment, seed, row, column, probability, gate, as in studies/gates/reports/plane.csv.
        half: The grid reaches from -half to half.
        rows: Variant to the rows that it was trained on, (rows, 2).
        discs: Variant to the disc whose rows it was not trained on, where there is one.
        experiment: What the figures share.
    """
    variants = list(experiment.diverged)
    figure = Figure(figsize=(style.WIDTH, 0.4 + 3.0 * len(variants)), layout="constrained")
    grid = figure.subplots(len(variants), 2, squeeze=False, sharex=True, sharey=True)
    values = plane[plane["variant"].isin(variants)].groupby(["variant", "moment", "row", "column"])["gate"].mean()
    scale = Normalize(values.min() if len(values) else 0, values.max() if len(values) else 1)
    side = math.isqrt(int(plane["row"].max() + 1) ** 2) if len(plane) else 1
    at = np.linspace(-half, half, side)
    for panels, variant in zip(grid, variants, strict=True):
        for axes, (moment, words) in zip(
            panels, (("start", "before training"), ("end", "after training")), strict=True
        ):
            axes.set_title(f"{variant}, {words}", loc="left", color=style.colour(experiment, variant))
            axes.grid(visible=False)
            axes.set_aspect("equal")
            own = plane[(plane["variant"] == variant) & (plane["moment"] == moment)]
            if own.empty:
                lost = len(experiment.diverged[variant]) == experiment.seeds
                curves.say(axes, "each seed diverged" if lost else "no gate reads the stream")
                continue
            gate = own.groupby(["row", "column"])["gate"].mean().to_numpy().reshape(side, side)
            axes.pcolormesh(at, at, gate, cmap=_MAP, norm=scale, shading="nearest", rasterized=True)
            if moment == "end":
                for _, seed in own.groupby("seed"):
                    probability = seed.sort_values(["row", "column"])["probability"].to_numpy().reshape(side, side)
                    if probability.min() < 0.5 < probability.max():
                        axes.contour(at, at, probability, levels=[0.5], colors="white", linewidths=0.7)
            axes.plot(*rows[variant].T, ".", color="black", markersize=1.2, markeredgewidth=0, rasterized=True)
            if variant in discs:
                x1, x2, radius = discs[variant]
                axes.add_patch(Circle((x1, x2), radius, fill=False, color="#D55E00", linewidth=1.1))
            axes.set(xlim=(-half, half), ylim=(-half, half))
    for axes in grid[-1]:
        axes.set_xlabel("x1, standardised")
    for axes in grid[:, 0]:
        axes.set_ylabel("x2, standardised")
    style.colour_bar(figure, ScalarMappable(scale, _MAP), "gate, mean over blocks")
    handles = [
        Line2D([], [], color=style.DARK, marker=".", linestyle="", markersize=3, label="train rows"),
        Line2D([], [], color=style.LIGHT, linewidth=0.9, label="boundary of one seed"),
    ]
    if set(discs) & set(variants):
        handles.append(Line2D([], [], color="#D55E00", linewidth=1.1, label="gap without train rows"))
    notes = f"Background: how far the gates open{', mean over seeds' * (experiment.seeds > 1)}."
    return style.finish(figure, experiment, "Gates that read the stream, over the plane", handles, notes)
