"""saved: bytes that are kept for the backward pass, by depth, for each way of keeping less."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gradflow.drawing import curves, style
from gradflow.drawing.experiment import Experiment

_KIB = 1024
_COLOURS = dict(zip(("full", "bits", "checkpoint", "sketch"), ("#000000", *style.COLOURS), strict=False))


@matplotlib.rc_context(style.RC)
def draw(saved: pd.DataFrame, variant: str, batch: int, width: int) -> Figure:
    """A line for each way.

    Args:
        saved: Columns way, depth, batch, width, forward, peak, as in studies/memory/reports/saved.csv.
        variant: Whose blocks they are.
        batch: Rows of the batch that is shown.
        width: Units of the stream that is shown.
    """
    own = saved[(saved["batch"] == batch) & (saved["width"] == width)]
    ways = [way for way in dict.fromkeys(own["way"]) if len(own[own["way"] == way]) > 1 or own["depth"].nunique() == 1]
    shown = own[own["way"].isin(ways)]
    experiment = Experiment(
        depths=dict.fromkeys(ways, int(shown["depth"].max())),
        seeds=1,
        epochs=1,
        diverged={way: {} for way in ways},
        caption=(
            f"One network of blocks {variant} of width {width} in float32, a batch of {batch} rows: tensors that"
            " autograd saves, each memory once, without parameters; counted, hence exact. full: as PyTorch keeps"
            " them. bits: ReLUs keep one bit a number. sketch_R: that, and R rows in the place of each block's"
            " input. checkpoint: about sqrt(depth) streams, all between computed again; checkpoint_bits: with"
            " bits."
        ),
    )
    figure = Figure(figsize=(style.WIDTH, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("blocks")
    axes.set_ylabel("KiB held at once, at most")
    depths = sorted(set(shown["depth"]))
    curves.log_axis(axes, (shown["peak"] / _KIB).to_numpy(dtype=float))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_ticks(depths, [str(depth) for depth in depths])
    axes.minorticks_off()
    for way in ways:
        line = shown[shown["way"] == way].sort_values("depth")
        axes.plot(
            line["depth"],
            line["peak"] / _KIB,
            color=_COLOURS[way.partition("_")[0]],
            linestyle=style.DASHES if way.startswith("checkpoint") else "-",
            marker=style.MARKERS[experiment.position(way) % len(style.MARKERS)],
            markersize=4,
            linewidth=1.4,
        )
    handles = axes.get_lines()
    for handle, way in zip(handles, ways, strict=True):
        handle.set_label(way)
    return style.finish(figure, experiment, "Bytes kept for the backward pass", handles, "")
