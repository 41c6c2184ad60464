"""denoised: digits clean, noisy and denoised; PSNR by noise; gradients before training by stage."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from gradflow.drawing import curves, inits, style
from gradflow.drawing.experiment import Experiment

_INPUT = (0, (1, 1))
_SIDE = 8  # pixels of a digit
_GAP, _WIDE_GAP = 1, 4  # pixels between digits, and between columns of different noise
Image = NDArray[np.float64]


@matplotlib.rc_context(style.RC)
def draw(
    images: pd.DataFrame, ends: pd.DataFrame, noisy: pd.Series, starts: pd.DataFrame, experiment: Experiment
) -> Figure:
    """A row a digit, with columns for each noise; below them PSNR by noise, and gradients before training by stage.

    Args:
        images: Columns variant, noise, image, pixel, clean, noisy, denoised.
        ends: Columns variant, noise, seed, psnr.
        noisy: PSNR of noisy digits, by noise; nan where no network saw any.
        starts: Columns variant, start, seed, layer, grad_norm, all of the same noise.
        experiment: What is shared; its variants are the U-Nets with long skips and without.
    """
    picture, columns, titles = _columns(images)
    kinds = list(dict.fromkeys(starts["start"]))
    height = 0.93 * style.WIDTH * picture.shape[0] / picture.shape[1]
    figure = Figure(figsize=(style.WIDTH, height + 2.5), layout="constrained")
    below = ["psnr", *kinds]
    panels = figure.subplot_mosaic([["digits"] * len(below), below], height_ratios=(height + 0.3, 2.0))
    _digits(panels["digits"], picture, columns, titles)
    _psnr(panels["psnr"], ends, noisy, experiment)
    norms = starts.groupby(["variant", "start", "seed", "layer"], sort=False)["grad_norm"]
    by_stage = norms.agg(lambda own: np.sqrt((own**2).sum())).reset_index()
    for kind in kinds:
        axes = panels[kind]
        axes.set_title(f"before training,\n{inits.called(kind, 'weights')}", loc="left")
        curves.log_axis(axes, by_stage["grad_norm"].to_numpy())
        for variant, own in by_stage[by_stage["start"] == kind].groupby("variant", sort=False):
            curves.points(axes, curves.over_seeds(own, "layer", "grad_norm"), experiment, str(variant), hollow=False)
        axes.xaxis.set_major_locator(FixedLocator(sorted(by_stage["layer"].unique())))
        axes.set_xlabel("stage, the last one the head")
    panels[kinds[0]].set_ylabel("‖∂loss/∂W‖")
    handles: list[Artist] = [
        *curves.handles(experiment),
        Line2D([], [], color=style.DARK, linestyle=_INPUT, linewidth=1.2, label="noisy digits"),
    ]
    notes = (
        f"{curves.reading(experiment)} Digits: of the validation split, from the first seed, 0 white and 1 black."
        " Zeros instead: the decoder reads zeros in the place of long skips."
    )
    return style.finish(figure, experiment, "A small U-Net takes noise off digits", handles, notes)


def _columns(images: pd.DataFrame) -> tuple[Image, dict[float, str], dict[float, str]]:
    """All digits as one picture; its columns and its titles, by where their middle is."""
    parts, columns, titles, start = [_column(images, "clean")], {(_SIDE - 1) / 2: "clean"}, {}, _SIDE
    for noise, own in images.groupby("noise"):
        start += _WIDE_GAP
        titles[start - 0.5] = f"noise {noise:g}"
        named = {"noisy": _column(own, "noisy")}
        named |= {str(variant): _column(rows, "denoised") for variant, rows in own.groupby("variant", sort=False)}
        gap = _WIDE_GAP
        for name, column in named.items():
            start += (gap == _GAP) * _GAP
            columns[start + (_SIDE - 1) / 2] = name
            parts += [np.full((len(column), gap), np.nan), column]
            start, gap = start + _SIDE, _GAP
    return np.concatenate(parts, 1), columns, titles


def _column(images: pd.DataFrame, name: str) -> Image:
    """Digits below one another, with gaps."""
    first = images.drop_duplicates(["image", "pixel"]).sort_values(["image", "pixel"])
    digits = first[name].to_numpy(dtype=float).reshape(-1, _SIDE, _SIDE)
    spaced = np.pad(digits, ((0, 0), (0, _GAP), (0, 0)), constant_values=np.nan)
    return spaced.reshape(-1, _SIDE)[:-_GAP]


def _digits(axes: Axes, picture: Image, columns: dict[float, str], titles: dict[float, str]) -> None:
    axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.yaxis.set_visible(False)
    axes.xaxis.tick_top()
    axes.set_xticks(list(columns), [name.replace(" ", "\n") for name in columns.values()], fontsize=7)
    axes.tick_params(length=0)
    for at, title in titles.items():
        axes.annotate(
            title, (at, 1), (0, 26), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8
        )


def _psnr(axes: Axes, ends: pd.DataFrame, noisy: pd.Series, experiment: Experiment) -> None:
    axes.set_title("after training", loc="left")
    for variant, own in ends.groupby("variant", sort=False):
        curves.points(axes, curves.over_seeds(own, "noise", "psnr"), experiment, str(variant), hollow=False)
    axes.plot(noisy.index, noisy, color=style.DARK, linestyle=_INPUT, linewidth=1.2, marker="_", markersize=7)
    axes.xaxis.set_major_locator(FixedLocator(list(noisy.index)))
    room = 0.15 * (noisy.index.max() - noisy.index.min()) or 0.1
    axes.set_xlim(noisy.index.min() - room, noisy.index.max() + room)
    axes.set_xlabel("noise, standard deviation")
    axes.set_ylabel("PSNR in dB")
