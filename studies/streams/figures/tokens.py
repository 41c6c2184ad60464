"""tokens: what the lenses read at each position behind each sublayer, in one sequence."""

import string

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_LETTERS = string.ascii_uppercase + string.ascii_lowercase
_MOST = 24  # positions for which letters are legible
_RIGHT = "#009E73"


@matplotlib.rc_context(style.RC)
def draw(tokens: pd.DataFrame, experiment: Experiment) -> Figure:
    """A row a variant: logit lens and tuned lens, layer by position, the likeliest token as a letter.

    Args:
        tokens: Columns variant, layer, position, token, next, told, logit, logit_probability, tuned,
            tuned_probability.
        experiment: What the figures share; its variants are those to show.
    """
    variants = list(experiment.diverged)
    heights = [tokens[tokens["variant"] == variant]["layer"].nunique() + 2 for variant in variants]
    figure = Figure(figsize=(style.WIDTH, 0.15 * sum(heights) + 0.4 * len(variants)), layout="constrained")
    grid = figure.subplots(len(variants), 2, squeeze=False, height_ratios=heights)
    scale, colours = Normalize(0, 1), matplotlib.colormaps["Blues"]
    for variant, panels in zip(variants, grid, strict=True):
        own = tokens[tokens["variant"] == variant]
        for axes, name in zip(panels, ("logit", "tuned"), strict=True):
            axes.set_title(f"{variant}: {name} lens", loc="left")
            _panel(axes, own, name, scale)
        panels[0].set_ylabel("sublayers passed")
    for axes in grid[-1]:
        axes.set_xlabel("token that stands there")
    style.colour_bar(figure, ScalarMappable(scale, colours), "probability")
    handles = [Patch(facecolor="white", edgecolor=_RIGHT, label="the token that comes next, where it can be told")]
    notes = (
        "A sequence that no network was trained on, seed 0. Letter and colour: the token that the lens holds for the"
        " likeliest to come next, and its probability."
    )
    return style.finish(figure, experiment, "What the lens reads at each position", handles, notes)


def _panel(axes: Axes, tokens: pd.DataFrame, name: str, scale: Normalize) -> None:
    first = tokens[tokens["layer"] == 0]
    depth, positions = int(tokens["layer"].max()), len(first)
    shape = (depth + 1, positions)
    probability = tokens[f"{name}_probability"].to_numpy(dtype=float).reshape(shape)
    axes.pcolormesh(range(positions), range(depth + 1), probability, norm=scale, cmap="Blues")
    right = tokens[(tokens[name] == tokens["next"]) & (tokens["told"] == 1) & tokens[f"{name}_probability"].notna()]
    axes.scatter(right["position"], right["layer"], marker="s", facecolor="none", edgecolor=_RIGHT, linewidth=0.8, s=46)
    if positions <= _MOST and tokens[["token", "logit", "tuned"]].to_numpy().max() < len(_LETTERS):
        for layer, position, token, sure in zip(
            tokens["layer"], tokens["position"], tokens[name], probability.ravel(), strict=True
        ):
            colour = "white" if sure > 0.6 else "black"
            said = "" if np.isnan(sure) else _LETTERS[token]
            axes.text(position, layer, said, size=5.5, ha="center", va="center", color=colour)
        axes.set_xticks(range(positions), [_LETTERS[token] for token in first["token"]])
        axes.tick_params(axis="x", labelsize=6.5)
    axes.set_yticks(np.unique([0, *curves.layer_ticks(depth)[1:], depth]))
    axes.grid(visible=False)
