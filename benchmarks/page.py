"""The page of the results: what was promised beside what was measured, tables, and a figure, all from results.json."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.trainings import VARIANTS
from gradflow.drawing import style
from gradflow.drawing.experiment import Experiment

BEGIN, END = "<!-- measured: make bench writes what follows -->", "<!-- end of what was measured -->"
NAMES = {
    "recipe": "PyTorch script",
    "lightning_": "Lightning",
    "jax_": "JAX",
    "autograd": "gradflow by autograd",
    "gradflow_": "gradflow",
}
MIB = 2**20

Frames = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Promise:
    """A number that has to stay on one side of a bound.

    Attributes:
        text: What it is.
        bound: How far it may go.
        values: As measured, one a round.
        least: Whether the bound is the least; else it is the most.
        aim: What would be better still.
    """

    text: str
    bound: float
    values: pd.Series
    least: bool = False
    aim: float | None = None

    def row(self) -> list[str]:
        """Cells of the table."""
        median = float(self.values.median())
        holds = median >= self.bound if self.least else median <= self.bound
        bound = f"{'≥' if self.least else '≤'} {self.bound:g}" + (f" (aim {self.aim:g})" if self.aim else "")
        return [self.text, bound, f"{median:.3g}", spread(self.values, 1), "yes" if holds else "**no**"]


def promises(frames: Frames) -> Iterator[Promise]:
    """What is promised, as far as it was measured."""
    if "peers" in frames:
        yield from _of_peers(frames["peers"])
        if "peak" in frames:
            yield _of_the_peak(frames["peers"], frames["peak"])
    if "blocks" in frames:
        yield from _of_blocks(frames["blocks"])
    for part, what in (("logging", "logging every norm: step"), ("saving", "saving the state every 5 s: epoch")):
        for seeds, of_seeds in frames[part].groupby("seeds") if part in frames else ():
            yield Promise(f"{what} with / without, {seeds} seed{'s' * int(seeds > 1)}", 1.03, of_seeds["ratio"])
    if "scaling" in frames:
        yield from _of_scaling(frames["scaling"])
    if "from_nothing" in frames:
        seconds = frames["from_nothing"].set_index(["way", "round"])["seconds"]
        text = "from nothing to the figures, one seed: {} / scripts and drawing"
        yield Promise(text.format("`dvc repro plot`"), 1.0, seconds["dvc"] / seconds["scripts"])
        yield Promise(text.format("the flow"), 0.75, seconds["flow"] / seconds["scripts"])
    if "nothing_to_do" in frames:
        seconds = frames["nothing_to_do"].set_index(["way", "round"])["seconds"]
        yield Promise("`dvc repro` with nothing to do / empty pipeline", 1.3, seconds["pipeline"] / seconds["empty"])
    if "flow" in frames:
        seconds = frames["flow"].set_index(["way", "round"])["seconds"]
        yield Promise(
            "two long trainings from nothing: the flow / `dvc repro`", 0.75, seconds["the flow"] / seconds["dvc repro"]
        )
        yield Promise(
            "the flow with nothing to do, besides imports: s", 6, seconds["the flow, nothing to do, besides imports"]
        )
    yield from _of_clusters(frames)
    if "studies" in frames:
        seconds = frames["studies"].set_index(["study", "round"])["seconds"]
        yield Promise("study of the distant identity: s", 90, seconds["identity"])
    if "tracking" in frames:
        seconds = frames["tracking"].set_index(["part", "round"])["seconds"]
        yield Promise("track: s", 20, seconds["in all"])
        yield Promise("track, besides imports and log_model: s", 3, seconds["all else"])
    if "explorer" in frames:
        slowest = frames["explorer"].groupby("round")[["first", "frame"]].max()  # of both widths
        yield Promise("reports/index.html: first drawing after: s", 1, slowest["first"])
        yield Promise("the same: slowest frame of a slider: s", 0.05, slowest["frame"])


def _of_clusters(frames: Frames) -> Iterator[Promise]:
    if "remote" in frames:
        cpu = frames["remote"].groupby(["many", "round", "point"])["cpu"].sum().groupby(["many", "round"]).median()
        yield Promise("a point on a cluster, beside the experiment itself: CPU s", 8, cpu[True])
        yield Promise("the same: where 1,000 experiments are there already / few", 1.2, cpu[True] / cpu[False])
    if "table" in frames:
        yield Promise("table of 300 experiments: s", 5, frames["table"]["seconds"])


def _of_peers(peers: pd.DataFrame) -> Iterator[Promise]:
    both = peers.groupby(["peer", "seeds", "round"])[["step", "seconds"]].mean()  # over the variants
    step, job = both["step"], both["seconds"]
    ours, ours_8, recipe = step["gradflow_", 1], step["gradflow_", 8], step["recipe", 1]
    yield Promise("step: PyTorch script / gradflow, 1 seed", 2.5, recipe / ours, least=True, aim=4)
    yield Promise("step and seed: PyTorch script / gradflow, 8 seeds", 5, recipe / ours_8, least=True, aim=7)
    text = "job from process start to CSV, 1 seed: JAX with its compilation / gradflow"
    yield Promise(text, 1.5, job["jax_", 1] / job["gradflow_", 1], least=True)
    yield Promise("step and seed: gradflow / JAX, 8 seeds", 1.15, ours_8 / step["jax_", 8], aim=1)
    lowest = peers.groupby(["variant", "round"])["accuracy"].agg(["min", "max"])
    text = "accuracy of every way: {}"
    yield Promise(text.format("lowest, residual"), 0.94, lowest["min"]["residual"], least=True)
    yield Promise(text.format("highest, plain"), 0.6, lowest["max"]["plain"])


def _of_blocks(blocks: pd.DataFrame) -> Iterator[Promise]:
    step = blocks.set_index(["peer", "variant", "round"])["step"].sort_index()
    for block in blocks.loc[blocks["peer"] == "jax_", "variant"].sort_values().unique():
        text = f"step and seed of {block} blocks: gradflow / JAX, 8 seeds"
        yield Promise(text, 1.6, step["gradflow_", block] / step["jax_", block])


def _of_the_peak(peers: pd.DataFrame, peak: pd.DataFrame) -> Promise:
    ours = peers[(peers["peer"] == "gradflow_") & (peers["seeds"] == 8)].groupby("round")["step"].mean()
    share = peers["flops"].iloc[0] / ours / peak["multiply_adds"].max()
    if (share > 1).any():
        raise ValueError(
            f"a step took {share.max():.2f} of the measured peak, which is none: measure the part peak again"
        )
    text = "matrix products of an epoch: share of one core's peak of multiply-adds, 8 seeds"
    return Promise(text, 0.35, share, least=True, aim=0.5)


def _of_scaling(scaling: pd.DataFrame) -> Iterator[Promise]:
    depths = scaling[scaling["axis"] == "depth"]
    layer = (depths["step"] / depths["depth"]).groupby(depths["round"])
    text = f"step and layer, depth {depths['depth'].min()} to {depths['depth'].max()}: slowest / fastest"
    yield Promise(text, 1.2, layer.max() / layer.min())
    yield Promise(
        "memory against depth: largest distance from a straight line", 0.05, depths.groupby("round").apply(_bend)
    )


def _bend(depths: pd.DataFrame) -> float:
    """The largest distance of memory from its line over depth, as a share of the largest memory."""
    line = np.polynomial.Polynomial.fit(depths["depth"], depths["memory"], 1)
    return float((depths["memory"] - line(depths["depth"])).abs().max() / depths["memory"].max())


def spread(values: pd.Series, scale: float) -> str:
    """Smallest to largest."""
    return f"{values.min() * scale:.3g} to {values.max() * scale:.3g}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def peers_table(peers: pd.DataFrame) -> str:
    """One row a way and number of seeds."""
    rows = []
    for (peer, seeds), of_peer in peers.groupby(["peer", "seeds"], sort=False):
        rounds = of_peer.groupby("round")[["step", "seconds"]].mean()
        accuracy = of_peer.groupby("variant")["accuracy"].median()
        rows.append(
            [
                NAMES[peer],
                str(seeds),
                _ms(rounds["step"]),
                f"{rounds['seconds'].median():.3g} ({spread(rounds['seconds'], 1)})",
                *(f"{accuracy[variant]:.3f}" for variant in VARIANTS),
                f"{of_peer['cpu'].min():.2f}",
            ]
        )
    head = ["way", "seeds", "ms per step and seed", "job, s", "accuracy, plain", "residual", "CPU time / time"]
    return table(head, sorted(rows, key=lambda row: (list(NAMES.values()).index(row[0]), int(row[1]))))


def gpu_table(gpu: pd.DataFrame) -> str:
    """One row a way and number of seeds, on the GPU, and one for the engine on a core beside it."""
    rows = []
    for (device, peer, seeds), of_peer in gpu.groupby(["device", "peer", "seeds"]):
        rounds = of_peer.groupby("round")[["step", "seconds"]].mean()
        where = NAMES[peer] if device == "cuda" else f"{NAMES[peer]}, one core"
        seconds = f"{rounds['seconds'].median():.3g} ({spread(rounds['seconds'], 1)})"
        rows.append([where, str(seeds), _ms(rounds["step"]), _ms(rounds["step"] * seeds), seconds])
    order = [*NAMES.values()]
    rows.sort(key=lambda row: (", one core" in row[0], order.index(row[0].removesuffix(", one core")), int(row[1])))
    return table(["way", "seeds", "ms per step and seed", "ms per step of all seeds", "job, s"], rows)


def blocks_table(blocks: pd.DataFrame) -> str:
    """One row a block."""
    steps = dict(list(blocks.groupby(["variant", "peer"])["step"]))
    rows = []
    for block in sorted(blocks["variant"].unique()):
        own = [steps.get((block, peer)) for peer in ("gradflow_", "jax_")]
        rows.append([block, *("" if step is None else _ms(step) for step in own)])
    return table(["block", "gradflow, ms per step and seed", "JAX"], rows)


def _ms(step: pd.Series) -> str:
    return f"{step.median() * 1e3:.3g} ({spread(step, 1e3)})"


def scaling_table(scaling: pd.DataFrame) -> str:
    """One row a point of an axis."""
    rows = []
    for (axis, value), point in scaling.assign(value=[r[r["axis"]] for _, r in scaling.iterrows()]).groupby(
        ["axis", "value"]
    ):
        step, depth = point["step"], point["depth"].iloc[0]
        rows.append(
            [
                axis,
                str(value),
                _ms(step),
                f"{step.median() / depth * 1e6:.3g}",
                f"{point['memory'].median() / MIB:.0f}",
            ]
        )
    return table(["axis", "value", "ms per step and seed", "µs per step, seed and block", "memory, MiB"], rows)


def kept_table(kept: pd.DataFrame) -> str:
    """One row a way: bytes counted, and taken with each setting of malloc."""
    rows = []
    for (way, depth), own in kept.groupby(["way", "depth"], sort=False):
        took = dict(list(own.groupby("threshold")["took"]))
        cells = [f"{took[name].median() / MIB:.0f} ({spread(took[name], 1 / MIB)})" for name in ("16384", "default")]
        rows.append([way, str(depth), f"{own['counted'].median() / MIB:.0f}", *cells])
    return table(["way", "blocks", "counted, MiB", "taken, MiB, threshold of 16 KiB", "taken, MiB, default"], rows)


def routed_table(routed: pd.DataFrame) -> str:
    """One row a size and share: time of a pass of the whole network, and of one that skips blocks over it."""
    rows = []
    for (width, batch, share), own in routed.groupby(["width", "batch", "share"]):
        ratio = f"{own['ratio'].median():.2f} ({spread(own['ratio'], 1)})"
        rows.append([*map(str, (width, batch, share)), f"{own['ran'].median():.2f}", _ms(own["whole"]), ratio])
    head = ["width", "rows", "share asked for", "blocks that ran", "whole network, ms", "routed / whole"]
    return table(head, rows)


def seconds_table(frame: pd.DataFrame, by: str, columns: dict[str, str]) -> str:
    """Median and spread of seconds by stage or way."""
    rows = [
        [str(name), *(f"{group[c].median():.3g} ({spread(group[c], 1)})" for c in columns)]
        for name, group in frame.groupby(by, sort=False)
    ]
    return table([by, *columns.values()], rows)


def machines(results: dict[str, Any]) -> str:
    """What the numbers were measured on: each machine once, with the commits and the parts measured at each of them."""
    found: dict[str, dict[str, list[str]]] = {}
    for part, measured in results.items():
        about = measured["machine"]
        versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
        machine = f"{about['cpu']}, {about['cores']} cores, {about['system']}; {versions}"
        found.setdefault(machine, {}).setdefault(about["code"], []).append(part)
    lines = []
    for machine, parts in found.items():
        commits = [f"{code} ({', '.join(of_code)})" for code, of_code in parts.items()] if len(parts) > 1 else [*parts]
        lines.append(f"Measured on {machine}; gradflow at commit {', '.join(commits)}.")
    return "\n\n".join(lines)


@matplotlib.rc_context(style.RC)
def draw(frames: Frames) -> Figure:
    """Four panels: ways, depth, memory, width and seeds."""
    figure = Figure(figsize=(style.WIDTH, 4.2), layout="constrained")
    ways, depth, memory, seeds = figure.subplots(2, 2).ravel()
    if "peers" in frames:
        _bars(ways, frames["peers"], frames.get("peak"))
    if "scaling" in frames:
        scaling = frames["scaling"]
        of_depth = scaling[scaling["axis"] == "depth"]
        _line(depth, of_depth["depth"], of_depth["step"] / of_depth["depth"] * 1e6)
        _line(memory, of_depth["depth"], of_depth["memory"] / MIB, doubling=False)
        of_seeds = scaling[scaling["axis"] == "seeds"]
        _line(seeds, of_seeds["seeds"], of_seeds["step"] * 1e3)
    titles = {
        ways: ("a step of one seed", "ms", ""),
        depth: ("a step of one seed and block", "µs", "depth"),
        memory: ("memory above the imports", "MiB", "depth"),
        seeds: ("a step of one seed", "ms", "seeds trained together"),
    }
    for axes, (title, y, x) in titles.items():
        axes.set_title(title, loc="left")
        axes.set_ylabel(y)
        axes.set_xlabel(x)
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    caption = "One thread. Depth and memory: 8 seeds, width 64; seeds: depth 20, width 64. Batches of 128."
    about = Experiment(depths={}, seeds=0, epochs=0, diverged={}, caption=caption)
    notes = (
        "Bar or dot: median over rounds; upright line: all rounds; dotted: matrix products alone at one core's peak."
    )
    return style.finish(figure, about, "Time and memory", [], notes)


def _bars(axes: Axes, peers: pd.DataFrame, peak: pd.DataFrame | None) -> None:
    steps = peers.groupby(["peer", "seeds", "round"])["step"].mean() * 1e3
    cases = [(peer, seeds) for peer in NAMES for seeds in sorted(peers.loc[peers["peer"] == peer, "seeds"].unique())]
    for place, case in enumerate(cases):
        ours = case[0] in ("autograd", "gradflow_")
        axes.bar(place, steps[case].median(), color=style.COLOURS[1] if ours else style.GREY, width=0.7)
        axes.vlines(place, steps[case].min(), steps[case].max(), color="black", linewidth=1)
    if peak is not None:
        alone = peers["flops"].iloc[0] / peak["multiply_adds"].max() * 1e3
        axes.axhline(alone, color="black", linewidth=0.9, linestyle=":")
    names = {peer: name.removeprefix("PyTorch ").removeprefix("gradflow by ") for peer, name in NAMES.items()}
    labels = [f"{names[peer]}\n{seeds} seed{'s' * int(seeds > 1)}" for peer, seeds in cases]
    axes.set_xticks(range(len(cases)), labels, fontsize=6.5)
    axes.grid(axis="x", visible=False)


def _line(axes: Axes, at: pd.Series, values: pd.Series, *, doubling: bool = True) -> None:
    over = values.groupby(at)
    axes.plot(over.median().index, over.median(), color=style.COLOURS[1], marker="o", markersize=3.5)
    axes.vlines(over.median().index, over.min(), over.max(), color=style.COLOURS[1], linewidth=1)
    if doubling:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(at.unique()), [str(value) for value in sorted(at.unique())])


def write(results: dict[str, Any], folder: Path) -> None:
    """Write the tables between the markers of README.md, and the figure."""
    frames = {part: pd.DataFrame(found["rows"]) for part, found in results.items()}
    quick = [part for part, found in results.items() if found["quick"]]
    parts = [
        machines(results),
        *([f"**From a quick run, too short for numbers: {', '.join(quick)}.**"] if quick else []),
        table(["", "promised", "measured", "spread", "holds"], [promise.row() for promise in promises(frames)]),
        "![Time and memory](measured.png)",
    ]
    if "peers" in frames:
        parts += ["### Ways to train", peers_table(frames["peers"])]
    if "blocks" in frames:
        parts += ["### Every block, 8 seeds", blocks_table(frames["blocks"])]
    if "gpu" in frames:
        parts += ["### On a GPU", gpu_table(frames["gpu"])]
    if "peak" in frames:
        adds, products = (f"{frames['peak'][name].max() / 1e9:.0f}" for name in ("multiply_adds", "products"))
        parts += [
            f"One core reaches {adds} GFLOP/s in multiply-adds alone, and {products} in PyTorch's matrix products."
        ]
    if "scaling" in frames:
        parts += ["### Larger and smaller", scaling_table(frames["scaling"])]
    if "stages" in frames:
        columns = {"imports": "imports, s", "seconds": "in all, s"}
        parts += ["### Stage by stage", seconds_table(frames["stages"], "stage", columns)]
    if "kept" in frames:
        parts += ["### Kept for the backward pass", kept_table(frames["kept"])]
    if "routed" in frames:
        parts += ["### Blocks skipped", routed_table(frames["routed"])]
    for part, title, by in (
        ("from_nothing", "From nothing", "way"),
        ("flow", "Two long trainings", "way"),
        ("nothing_to_do", "Nothing to do", "way"),
        ("tracking", "The stage track", "part"),
        ("studies", "Studies from nothing", "study"),
    ):
        if part in frames:
            parts += [f"### {title}", seconds_table(frames[part], by, {"seconds": "s"})]
    page = folder / "README.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + "\n\n".join([BEGIN, *parts, END]) + after, encoding="utf-8")
    style.save(draw(frames), folder / "measured", 150)
