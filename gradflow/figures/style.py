"""What all figures share: the experiment that they show, colours, axes of layers, curves, legend, caption, files."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

# Okabe & Ito (2008), "Color universal design": told apart with any common colour vision. Without its
# yellow, which fades on white, and with black last.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DARK = "#4D4D4D"
GREY = "#767676"
PALE = "#E6E6E6"

DASHES = (0, (3, 1.5))

WIDTH = 7.2  # inches: at 150 dpi a little wider than a README shows
RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.title_fontsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": DARK,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "xtick.color": DARK,
    "ytick.color": DARK,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.6,
    "axes.unicode_minus": True,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",  # looks the same where DejaVu Sans is missing
    "svg.hashsalt": "gradflow",  # the ids in an SVG follow from its content
}


_HANDLE, _COLUMN_GAP = 16.0, 14.0  # points, in a legend

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """How a variant is drawn: a colour, and a marker that tells a second round through the palette from the first."""

    colour: str
    marker: str
    again: bool


@dataclass(frozen=True)
class Experiment:
    """What the figures of one run of the pipeline have in common.

    Attributes:
        depth: Number of blocks.
        seeds: Trained seeds of each variant.
        epochs: Epochs of the training.
        diverged: The variants in the order of params.yaml, each with the epochs at which seeds diverged.
        caption: Setting and data in words.
    """

    depth: int
    seeds: int
    epochs: int
    diverged: dict[str, list[int]]
    caption: str

    def look(self, variant: str) -> Look:
        """The look of a variant, from its position alone, hence the same in every figure."""
        turn, position = divmod(list(self.diverged).index(variant), len(COLOURS))
        return Look(COLOURS[position], MARKERS[turn % len(MARKERS)], turn > 0)

    def lost(self, variant: str) -> str:
        """How many seeds diverged and when, in words; empty if none did."""
        epochs = sorted(self.diverged[variant])
        if not epochs:
            return ""
        when = f"epoch {epochs[0]}" if epochs[0] == epochs[-1] else f"epochs {epochs[0]} to {epochs[-1]}"
        return f"{len(epochs)} of {self.seeds} {'seed' if self.seeds == 1 else 'seeds'} diverged, {when}"

    def label(self, variant: str) -> str:
        """The name of a variant for a legend, with its divergence in words."""
        lost = self.lost(variant)
        return f"{variant} ({lost})" if lost else variant

    def handles(self) -> list[Artist]:
        """One entry of a legend for each variant."""
        return [
            Line2D(
                [],
                [],
                color=look.colour,
                marker=look.marker if look.again else "",
                markersize=4,
                linewidth=2.2,
                label=self.label(variant),
            )
            for variant in self.diverged
            for look in [self.look(variant)]
        ]


@dataclass(frozen=True)
class Spread:
    """A quantity over the seeds: its median, smallest and largest value at each of ``at``, all (points,)."""

    at: Numbers
    median: Numbers
    low: Numbers
    high: Numbers


def over_seeds(table: pd.DataFrame, by: str, value: str) -> Spread:
    """The spread of column ``value`` over the rows, one a seed, with the same ``by``, in rising order of ``by``."""
    groups = table.groupby(by)[value]
    low, median, high = (groups.quantile(q).to_numpy(dtype=float) for q in (0.0, 0.5, 1.0))
    return Spread(np.sort(table[by].unique()).astype(float), median, low, high)


def curve(axes: Axes, spread: Spread, look: Look, *, dashed: bool = False, mark: bool = False) -> None:
    """Draw the median as a line and smallest to largest as a band; a single point with a bar instead.

    Args:
        axes: Where; on a logarithmic axis the line has a gap where the median is 0.
        spread: The values.
        look: Of the variant.
        dashed: A thin dashed line with a fainter band, for the second of two quantities in the same axes.
        mark: Mark each point.
    """
    if len(spread.at) == 1:
        points(axes, spread, look, hollow=dashed)
        return
    band_alpha, width, style = (0.1, 1.0, DASHES) if dashed else (0.2, 1.6, "-")
    axes.fill_between(spread.at, spread.low, spread.high, color=look.colour, alpha=band_alpha, linewidth=0)
    axes.plot(
        spread.at,
        np.where(spread.median > 0, spread.median, np.nan) if axes.get_yscale() == "log" else spread.median,
        color=look.colour,
        linewidth=width,
        linestyle=style,
        marker=look.marker if mark or look.again else "",
        markersize=3.5 if look.again else 2.6,
        markevery=1 if mark else max(1, len(spread.at) // 6),
    )


def points(axes: Axes, spread: Spread, look: Look, *, hollow: bool) -> None:
    """Draw each median as a marker and smallest to largest as a bar."""
    axes.vlines(spread.at, spread.low, spread.high, color=look.colour, alpha=0.35, linewidth=3)
    axes.plot(
        spread.at,
        spread.median,
        color=look.colour,
        marker=look.marker,
        markersize=4.5,
        markerfacecolor="white" if hollow else look.colour,
        markeredgewidth=1.1,
        linestyle="",
    )


def layer_position(layer: int, depth: int) -> float:
    """Where a layer stands on an axis of layers: blocks at 1..depth, stem and head apart from them.

    The stem and the head have weights of other shapes, so their norms do not continue those of the blocks.
    """
    gap = max(1.0, 0.12 * depth)
    return {0: 1 - gap, depth + 1: depth + gap}.get(layer, float(layer))


def layer_ticks(depth: int, most: int = 5) -> list[int]:
    """Round layer numbers to label, the first and the last block always among them."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if depth / s <= most)
    between = [tick for tick in range(step, depth, step) if 1 + step / 2 < tick < depth - step / 2]
    return sorted({1, *between, depth})


def layer_axis(axes: Axes, depth: int, *, ends: bool, vertical: bool = False, most: int = 5) -> None:
    """Ticks and limits of an axis of layers, with stem and head if ``ends``."""
    axis = axes.yaxis if vertical else axes.xaxis
    ticks = layer_ticks(depth, most)
    layers = [0, *ticks, depth + 1] if ends else ticks
    axis.set_ticks(
        [layer_position(layer, depth) for layer in layers],
        ["stem", *map(str, ticks), "head"] if ends else [str(tick) for tick in ticks],
    )
    first, last = (layer_position(layer, depth) for layer in ((0, depth + 1) if ends else (1, depth)))
    margin = max(0.5 if depth == 1 or not ends else 0.25, 0.03 * (last - first))
    (axes.set_ylim if vertical else axes.set_xlim)(first - margin, last + margin)


def epoch_axis(axes: Axes, epochs: int) -> None:
    """An axis of epochs from 1, whole numbers only."""
    axes.set_xlabel("epoch")
    if epochs == 1:
        axes.set_xlim(0.5, 1.5)
        axes.xaxis.set_major_locator(FixedLocator([1]))
    else:
        margin = min(0.9, 0.02 * (epochs - 1))  # less than 1: there is no epoch 0
        axes.set_xlim(1 - margin, epochs + margin)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=2))


def columns(panels: int) -> int:
    """How many panels, one a variant, stand side by side."""
    return panels if panels <= 3 else 2 if panels == 4 else 3


def panel_title(axes: Axes, experiment: Experiment, variant: str, remark: str = "") -> None:
    """Name the variant above its panel, in its colour, and below that say in words which seeds diverged."""
    room = WIDTH * 72 * 0.78 / columns(len(experiment.diverged))
    parts = [part for part in (variant, experiment.lost(variant), remark) if part]
    text = "\n".join(line for part in parts for line in wrap(part, RC["axes.titlesize"], room))
    axes.set_title(text, loc="left", color=experiment.look(variant).colour)


def say(axes: Axes, text: str) -> None:
    """Write into the middle of axes that have nothing to show why that is so."""
    axes.text(
        0.5,
        0.5,
        textwrap.fill(text, 26),
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=DARK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 3},  # no grid line crosses the words
    )


def log_axis(axes: Axes) -> None:
    """Finish a logarithmic y axis: a span of at least 4, so that no noise looks like an effect; readable ticks."""
    low, high = axes.get_ylim()
    if high / low < 4:
        middle = math.sqrt(low * high)
        low, high = axes.set_ylim(middle / 2, middle * 2)
    if high / low < 1e3:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def text_width(text: str, size: float) -> float:
    """Width of a line in points."""
    width, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(family="DejaVu Sans", size=size), False
    )
    return float(width)


def wrap(text: str, size: float, width: float) -> list[str]:
    """Break text into lines of at most ``width`` points, between words or, in a long name, within one."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".lstrip()
        if text_width(joined, size) <= width:
            lines[-1] = joined
            continue
        lines += [""] * bool(lines[-1])
        for character in word:
            if text_width(lines[-1] + character, size) > width:
                lines.append("")
            lines[-1] += character
    return lines


def finish(figure: Figure, experiment: Experiment, title: str, handles: Sequence[Artist], notes: str) -> Figure:
    """Add title and legend above the panels and the caption below, and grow the figure by what they need."""
    rows = 0
    if handles:
        columns = _legend_columns([str(handle.get_label()) for handle in handles])
        rows = -(-len(handles) // columns)
        legend = figure.legend(
            handles=list(handles),
            loc="outside upper left",
            ncols=columns,
            title=title,
            alignment="left",
            borderpad=0.2,
            borderaxespad=0.3,
            columnspacing=_COLUMN_GAP / RC["legend.fontsize"],
            handlelength=_HANDLE / RC["legend.fontsize"],
        )
        legend.get_title().set_fontweight("bold")
    else:
        figure.suptitle(title, x=0.01, ha="left", fontsize=RC["legend.title_fontsize"], fontweight="bold")
    size = 7.2
    lines = [line for part in (notes, experiment.caption) for line in wrap(part, size, 0.96 * WIDTH * 72)]
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=size, color=DARK, parse_math=False)
    figure.set_figheight(figure.get_figheight() + 0.3 + 0.175 * rows + 0.135 * len(lines))
    return figure


def _legend_columns(labels: list[str]) -> int:
    """The most columns that fit side by side, filled one after the other as matplotlib does."""
    widths = [text_width(label, RC["legend.fontsize"]) + _HANDLE + 0.8 * RC["legend.fontsize"] for label in labels]
    for columns in range(len(labels), 1, -1):
        needed = sum(max(part) for part in np.array_split(widths, columns)) + _COLUMN_GAP * (columns - 1)
        if needed <= 0.95 * WIDTH * 72:
            return columns
    return 1


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write ``path`` with the endings .png and .svg; the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(RC):
        figure.savefig(path.with_suffix(".png"), dpi=dpi, metadata={"Software": None})
        figure.savefig(path.with_suffix(".svg"), dpi=dpi, metadata={"Date": None, "Creator": None})
