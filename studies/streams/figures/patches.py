"""patches: where a patch of the stream brings the answer back, by layer and position."""

import matplotlib
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment


@matplotlib.rc_context(style.RC)
def draw(patches: pd.DataFrame, source: int, experiment: Experiment) -> Figure:
    """A panel a variant: layer by position, the median over seeds as colour.

    Args:
        patches: Columns variant, seed, layer, position, recovered.
        source: The position where the answer stood last.
        experiment: What the figures share; its variants are those to show.
    """
    scale, colours = Normalize(-1, 1), matplotlib.colormaps["RdBu"]
    figure, panels = style.panels(experiment, 0.8, {}, x="position", y="sublayers passed", share_y=False)
    for variant, axes in panels.items():
        own = patches[patches["variant"] == variant]
        table = own.pivot_table(index="layer", columns="position", values="recovered", aggfunc="median", dropna=False)
        axes.pcolormesh(table.columns, table.index, table.to_numpy(dtype=float), norm=scale, cmap=colours)
        axes.set_xticks([source, int(table.columns[-1])])
        axes.set_yticks(_ticks(int(table.index[-1])))
        axes.grid(visible=False)
    style.colour_bar(figure, ScalarMappable(scale, colours), "share of the answer that comes back", extend="both")
    who = "of the one seed" if experiment.seeds == 1 else "median over seeds"
    notes = (
        f"Colour: {who}. In a corrupted sequence, which holds another token wherever the answer stood (position"
        f" {source} and before), the stream at one position behind one sublayer is replaced by that of the clean run;"
        " the answer is due at the last position. 1: as if nothing had been corrupted."
    )
    return style.finish(figure, experiment, "Where the answer is: patched layer by layer", [], notes)


def _ticks(depth: int) -> list[int]:
    return [0, *curves.layer_ticks(depth)[1:]] if depth > 1 else [0, 1]
