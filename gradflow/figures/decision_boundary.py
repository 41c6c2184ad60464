"""decision_boundary: which class the trained networks see where."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment

Extent = tuple[float, float, float, float]

# Purple and green: told apart with any common colour vision, and no variant's colours.
_CLASSES = (("#762A83", "o"), ("#1B7837", "^"))
_COLOURS = LinearSegmentedColormap.from_list("classes", ["#C2A5CF", "#F7F7F7", "#A6DBA0"], N=64)

_LABEL = 100  # points that the label of an axis may be long: less than the smallest panel
_DOTS = 1800  # in all panels together: more hide one another, and weigh an SVG down


@matplotlib.rc_context(style.RC)
def draw(
    probabilities: Mapping[str, NDArray[np.float64]],
    extent: Extent,
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    features: Sequence[str],
    classes: tuple[str, str],
    experiment: Experiment,
) -> Figure:
    """Mean probability over seeds as background, the boundary of each seed as a line, the validation rows as dots.

    Args:
        probabilities: Variant to the probability of the second class, (seeds, rows, columns), on a grid
            from the lower left to the upper right corner; only seeds that did not diverge, possibly none.
        extent: x1 of the left and right, x2 of the lower and upper edge.
        points: Validation rows (rows, 2).
        labels: Their classes (rows,), 0 or 1.
        features: Names of x1 and x2.
        classes: Names of class 0 and class 1.
        experiment: What the figures share.
    """
    dots = min(len(points), _DOTS // len(experiment.diverged))  # the first are a fair sample: the split shuffles
    names = [style.words(name, 20) for name in classes]
    remarks = {variant: _remark(grids) for variant, grids in probabilities.items()}
    labelled = (f"{style.words(name, 20)} (standardised)" for name in features)
    x, y = ("\n".join(style.wrap(label, style.RC["axes.labelsize"], _LABEL)) for label in labelled)
    figure, panels = style.panels(experiment, 0.75, remarks, x=x, y=y)
    for variant, axes in panels.items():
        if len(probabilities[variant]):
            _landscape(axes, probabilities[variant], extent, style.colour(experiment, variant))
        for label, (colour, marker) in enumerate(_CLASSES):
            x1, x2 = points[:dots][labels[:dots] == label].T
            axes.plot(x1, x2, marker, color=colour, markersize=2.2, markeredgewidth=0, alpha=0.75, rasterized=True)
        axes.grid(visible=False)
        axes.set(xlim=extent[:2], ylim=extent[2:])
    if any(map(len, probabilities.values())):
        style.colour_bar(figure, ScalarMappable(Normalize(0, 1), _COLOURS), f"P(class {names[1]})")

    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=4, label=f"class {name}")
        for name, (colour, marker) in zip(names, _CLASSES, strict=True)
    ]
    handles.append(Line2D([], [], color=style.DARK, linewidth=0.9, label="boundary of one seed"))
    notes = (
        f"Dots: {dots:,} of {len(points):,} validation rows. Line: where the network of a seed gives both classes"
        f" probability ½. Background: probability of class {names[1]}{', mean over seeds' * (experiment.seeds > 1)}."
    )
    if experiment.any_diverged():
        notes += " Seeds that diverged are left out."
    return style.finish(figure, experiment, "Decision boundary after training", handles, notes)


def _remark(grids: NDArray[np.float64]) -> str:
    if not len(grids):
        return "no boundary to show"
    uniform = sum(not _has_boundary(grid) for grid in grids)
    return f"one class everywhere ({uniform} of {len(grids)})" if uniform else ""


def _has_boundary(grid: NDArray[np.float64]) -> bool:
    return bool(grid.min() < 0.5 < grid.max())


def _landscape(axes: Axes, grids: NDArray[np.float64], extent: Extent, colour: str) -> None:
    axes.imshow(
        grids.mean(0),
        extent=extent,
        origin="lower",
        cmap=_COLOURS,
        vmin=0,
        vmax=1,
        aspect="auto",
        zorder=0,
        interpolation_stage="data",
    )
    rows, columns = grids.shape[1:]
    x1, x2 = np.linspace(*extent[:2], columns), np.linspace(*extent[2:], rows)
    for grid in filter(_has_boundary, grids):
        axes.contour(x1, x2, grid, levels=[0.5], colors=[colour], linewidths=0.9, zorder=2)
