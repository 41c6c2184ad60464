"""The page of a figure: palette, fonts, panels of variants, title, legend, caption, files."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from gradflow.drawing.experiment import Experiment
from gradflow.files.writing import replacing

# Okabe & Ito (2008), "Color universal design": told apart with any common colour vision. Without its
# yellow, which fades on white, and with black last.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # for each further round through the colours
DARK = "#4D4D4D"
GREY = "#767676"
LIGHT = "#D0D0D0"
DASHES = (0, (3, 1.5))

WIDTH = 7.2  # inches: at 150 dpi a little wider than a README shows
FONT = "DejaVu Sans"  # comes with matplotlib: the same letters on every machine
RC: dict[Any, Any] = {
    "font.family": FONT,
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
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.color": DARK,
    "ytick.color": DARK,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "ytick.minor.size": 0,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "path",  # looks the same where the font is missing
    "svg.hashsalt": "gradflow",  # the ids in an SVG follow from its content
}

_POINTS = WIDTH * 72
_HANDLE, _COLUMN_GAP = 16.0, 14.0  # points, in a legend


def colour(experiment: Experiment, variant: str) -> str:
    """The colour of a variant, from its position alone, hence the same in every figure."""
    return COLOURS[experiment.position(variant) % len(COLOURS)]


def marker(experiment: Experiment, variant: str) -> str:
    """The marker of a variant: another one in each round through the colours."""
    return MARKERS[experiment.position(variant) // len(COLOURS) % len(MARKERS)]


def panels(
    experiment: Experiment,
    height: float,
    remarks: Mapping[str, str],
    *,
    x: str,
    y: str,
    share_x: bool = True,
    share_y: bool = True,
) -> tuple[Figure, dict[str, Axes]]:
    """A panel a variant, up to three side by side, titled with its name, its diverged seeds and a remark.

    Args:
        experiment: Names the variants.
        height: Of a panel as a share of its width.
        remarks: Variant to a further line of its title.
        x: Label of the horizontal axes.
        y: Label of the vertical axes.
        share_x: All horizontal axes are the same one.
        share_y: All vertical axes are the same one.
    """
    variants = list(experiment.diverged)
    columns = 2 if len(variants) == 4 else min(3, len(variants))
    rows = -(-len(variants) // columns)
    width = 0.82 * WIDTH / columns
    titles = {
        variant: [
            line
            for part in (variant, experiment.lost(variant), remarks.get(variant, ""))
            for line in wrap(part, RC["axes.titlesize"], width * 72)
        ]
        for variant in variants
    }
    lines = sum(max(len(titles[v]) for v in variants[row * columns : (row + 1) * columns]) for row in range(rows))
    lines += x.count("\n")
    panel = min(height * width, 2.9)
    figure = Figure(figsize=(WIDTH, rows * (panel + 0.25) + 0.14 * lines + 0.2), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=share_x, sharey=share_y, squeeze=False).ravel()
    for place, (axes, variant) in enumerate(zip(grid, variants, strict=False)):
        axes.set_title("\n".join(titles[variant]), loc="left", color=colour(experiment, variant))
        if place + columns >= len(variants):
            axes.xaxis.set_tick_params(labelbottom=True)
            axes.set_xlabel(x, parse_math=False)
        if place % columns == 0:
            axes.set_ylabel(y, parse_math=False)
    for axes in grid[len(variants) :]:
        axes.set_visible(False)
    return figure, dict(zip(variants, grid, strict=False))


def rows(
    experiment: Experiment, height: float, columns: Sequence[str], *, x: str, share_x: bool
) -> tuple[Figure, dict[str, list[Axes]]]:
    """A row of panels a variant, with its name and its diverged seeds to the left; a vertical axis a column.

    Args:
        experiment: Names the variants.
        height: Of a panel, in inches.
        columns: What each column shows.
        x: Label of the horizontal axes.
        share_x: All horizontal axes are the same one, else those of a row.
    """
    variants = list(experiment.diverged)
    names = {variant: wrap(experiment.label(variant), RC["axes.labelsize"], 66) for variant in variants}
    height = max(height, 0.14 * max(map(len, names.values())) - 0.2)
    heads = ["\n".join(wrap(column, RC["axes.titlesize"], 0.62 * _POINTS / len(columns))) for column in columns]
    total = len(variants) * (height + (0.1 if share_x else 0.28)) + 0.14 * max(head.count("\n") + 1 for head in heads)
    figure = Figure(figsize=(WIDTH, total + 0.4), layout="constrained")
    grid = figure.subplots(len(variants), len(columns), sharex="all" if share_x else "row", sharey="col", squeeze=False)
    for axes, head in zip(grid[0], heads, strict=True):
        axes.set_title(head, loc="left")
    for axes, variant in zip(grid[:, 0], variants, strict=True):
        label = axes.set_ylabel("\n".join(names[variant]), color=colour(experiment, variant), parse_math=False)
        label.set(rotation=0, ha="right", va="center", multialignment="left")
    for axes in grid[-1]:
        axes.set_xlabel(x, parse_math=False)
    return figure, {variant: list(panels) for variant, panels in zip(variants, grid, strict=True)}


def colour_bar(figure: Figure, mappable: ScalarMappable, label: str, *, extend: str = "neither") -> Colorbar:
    """A colour bar for all panels of a figure."""
    # As thin beside one row of panels as beside four, and no longer than those, so that it is seen at once.
    shrink = min(1.0, 8.0 / figure.get_figheight())
    bar = figure.colorbar(
        mappable,
        ax=figure.axes,
        aspect=11 * shrink * figure.get_figheight() / 2.3,
        pad=0.015,
        fraction=0.05,
        shrink=shrink,
        anchor=(0.0, 1.0),
        extend=extend,
    )
    bar.set_label(label, parse_math=False)
    bar.outline.set_visible(False)
    return bar


def words(text: str, longest: int) -> str:
    """Text of a user, ready to be drawn: one line, not too long, without what the font has no letters for."""
    text = " ".join(text.split())
    if len(text) > longest:
        half = (longest - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    font = get_font(findfont(FONT))
    return "".join(letter if font.get_char_index(ord(letter)) else "\N{REPLACEMENT CHARACTER}" for letter in text)


def text_width(text: str, size: float) -> float:
    """Width of a line in points."""
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(family=FONT, size=size), False)
    return float(width)


def wrap(text: str, size: float, width: float) -> list[str]:
    """Lines of at most ``width`` points, broken at spaces, in long names after _, - and /, else anywhere."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
            continue
        lines.append("")
        for part in re.findall(r"[^_/-]*[_/-]|[^_/-]+", word):
            pieces = [part] if text_width(part, size) <= width else list(part)
            for piece in pieces:
                if lines[-1] and text_width(lines[-1] + piece, size) > width:
                    lines.append("")
                lines[-1] += piece
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
        for text in legend.get_texts():
            text.set_parse_math(False)
    else:
        figure.suptitle(title, x=0.01, ha="left", fontsize=RC["legend.title_fontsize"], fontweight="bold")
    size = 7.2
    lines = [line for part in (notes, experiment.caption) for line in wrap(part, size, 0.95 * _POINTS)]
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=size, color=DARK, parse_math=False)
    figure.set_figheight(figure.get_figheight() + 0.3 + 0.175 * rows + 0.135 * len(lines))
    return figure


def _legend_columns(labels: list[str]) -> int:
    """The most columns that fit side by side, filled one after the other as matplotlib does."""
    widths = [text_width(label, RC["legend.fontsize"]) + _HANDLE + 0.8 * RC["legend.fontsize"] for label in labels]
    for columns in range(len(labels), 1, -1):
        needed = sum(max(part) for part in np.array_split(widths, columns)) + _COLUMN_GAP * (columns - 1)
        if needed <= 0.96 * _POINTS:
            return columns
    return 1


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write ``path`` with the endings .png and .svg; the same figure gives the same bytes."""
    with matplotlib.rc_context(RC):
        with replacing(path.with_suffix(".png")) as file:
            figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
        figure.set_layout_engine("none")  # the layout is made, and takes longer than the drawing
        with replacing(path.with_suffix(".svg")) as file:
            figure.savefig(file, format="svg", dpi=dpi, metadata={"Date": None, "Creator": None})
