"""decision_boundary: which class the trained networks see where."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gradflow.figures import style

# Green and purple: told apart with any common colour vision, and no variant's colours.
_CLASS_COLOURS = ("#762A83", "#1B7837")
_MAP = LinearSegmentedColormap.from_list("classes", ["#C2A5CF", "#F7F7F7", "#A6DBA0"])


@matplotlib.rc_context(style.RC)
def draw(
    probabilities: Mapping[str, NDArray[np.float64]],
    extent: tuple[float, float, float, float],
    points: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: tuple[str, str],
    experiment: style.Experiment,
) -> Figure:
    """Mean probability over seeds as background, the boundary of each seed as a line, the validation rows as dots.

    Args:
        probabilities: Variant to the probability of the second class, (seeds, rows, columns), on a grid
            from the lower left to the upper right corner; only seeds that did not diverge, possibly none.
        extent: x1 of the left and right, x2 of the lower and upper edge.
        points: Validation rows (rows, 2).
        labels: Their classes (rows,), 0 or 1.
        classes: Names of class 0 and class 1.
        experiment: What the figures share.
    """
    columns = style.columns(len(experiment.diverged))
    rows = -(-len(experiment.diverged) // columns)
    figure = Figure(figsize=(style.WIDTH, rows * (0.75 * style.WIDTH / columns) + 0.2), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    image = None
    for axes, variant in zip(panels, experiment.diverged, strict=False):
        uniform = sum(not _has_boundary(grid) for grid in probabilities[variant])
        remark = f"{uniform} of {experiment.seeds} seeds: one class everywhere" if uniform else ""
        if not len(probabilities[variant]):
            remark = "no boundary to show"
        style.panel_title(axes, experiment, variant, remark)
        if len(probabilities[variant]):
            image = _landscape(axes, probabilities[variant], extent, experiment.look(variant).colour)
        for label, colour in enumerate(_CLASS_COLOURS):
            of_class = points[labels == label]
            axes.plot(
                of_class[:, 0],
                of_class[:, 1],
                color=colour,
                marker="o^"[label],
                linestyle="",
                markersize=2.2,
                markeredgewidth=0,
                alpha=0.75,
                rasterized=True,
            )
        axes.grid(visible=False)
        axes.set(xlim=extent[:2], ylim=extent[2:])
    for axes in panels[len(experiment.diverged) :]:
        axes.set_visible(False)
    for place, axes in enumerate(panels[: len(experiment.diverged)]):
        if place + columns >= len(experiment.diverged):
            axes.xaxis.set_tick_params(labelbottom=True)
            axes.set_xlabel("x1 (standardised)")
        if place % columns == 0:
            axes.set_ylabel("x2 (standardised)")
    if image is not None:
        bar = figure.colorbar(image, ax=list(panels), aspect=max(20, 13 * rows), pad=0.015, fraction=0.05)
        bar.set_label(f"probability of class {classes[1]}, mean over seeds", parse_math=False)
        bar.outline.set_visible(False)

    handles = [
        Line2D([], [], color=colour, marker="o^"[label], linestyle="", markersize=4, label=f"class {classes[label]}")
        for label, colour in enumerate(_CLASS_COLOURS)
    ]
    handles.append(Line2D([], [], color=style.DARK, linewidth=0.9, label="boundary of one seed"))
    notes = "Dots: validation rows. Boundary: where a seed's network gives both classes probability ½."
    return style.finish(figure, experiment, "Decision boundary after training", list(handles), notes)


def _has_boundary(grid: NDArray[np.float64]) -> bool:
    return bool(grid.min() < 0.5 < grid.max())


def _landscape(
    axes: Axes, probabilities: NDArray[np.float64], extent: tuple[float, float, float, float], colour: str
) -> AxesImage:
    image = axes.imshow(
        probabilities.mean(0), extent=extent, origin="lower", cmap=_MAP, vmin=0, vmax=1, aspect="auto", rasterized=True
    )
    rows, columns = probabilities.shape[1:]
    x1, x2 = np.linspace(*extent[:2], columns), np.linspace(*extent[2:], rows)
    for grid in probabilities:
        if _has_boundary(grid):
            axes.contour(x1, x2, grid, levels=[0.5], colors=[colour], linewidths=0.9)
    return image
