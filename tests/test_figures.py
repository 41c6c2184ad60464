import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import get_args

import matplotlib
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from gradflow import boundary, checkpoints
from gradflow.drawing import setting, style
from gradflow.drawing.experiment import Experiment
from gradflow.figures import (
    activations,
    decision_boundary,
    gradient_flow,
    gradient_heatmap,
    loss_curves,
    metric_by_parameter,
)
from gradflow.kit.building import build
from gradflow.kit.inits import stack
from gradflow.params import catalogue
from gradflow.params.sections import Init
from gradflow.recipe import Recipe
from gradflow.tables import artefacts, logs
from stages import plot

ROOT = Path(__file__).parents[1]

FIGURES = ("gradient_flow", "gradient_heatmap", "loss_curves", "activations", "decision_boundary")
WITHOUT_CURVES = ("gradient_heatmap", "decision_boundary")
LONG = "a_variant_whose_name_is_forty_letters_xx"
EXTENT = (-2.5, 2.5, -2.0, 2.0)


def experiment(variants, *, depth=6, depths=None, seeds=3, epochs=5, diverged=None):
    caption = "Depth 6, width 4 and so on, as long as the caption of a real experiment is. " * 3
    depths = dict.fromkeys(variants, depth) | (depths or {})
    return Experiment(depths, seeds, epochs, {name: (diverged or {}).get(name, {}) for name in variants}, caption)


def predicted(depth):
    """Something for theory to say."""
    return 0.4 ** np.arange(depth - 1.0, -1, -1)


def tables(about):
    """Norms, probes and history as the stage gradients leaves them: rows end where a seed diverges."""
    random = np.random.default_rng(0)
    norms, probes, history = [], [], []
    for place, (variant, lost) in enumerate(about.diverged.items()):
        for seed in range(about.seeds):
            last = lost.get(seed, about.epochs + 1)  # the epoch in which the seed diverges
            for epoch in range(1, min(last, about.epochs) + 1):
                huge = 1e20 if epoch == last else 1.0
                depth = about.depths[variant]
                sizes = 0.3 ** (place * (depth - np.arange(depth + 2))) * random.uniform(0.5, 1) * huge
                norms.extend((variant, seed, epoch, *row) for row in enumerate(sizes))
            finished = min(last - 1, about.epochs)
            losses, accuracies = random.uniform(0.1, 0.6, (finished, 2)), random.uniform(0.5, 1, finished)
            history.extend((variant, seed, i + 1, *losses[i], accuracies[i]) for i in range(finished))
            for epoch in (0, *[about.epochs] * (last > about.epochs)):
                rows = random.uniform(0.1, 0.3, (about.depths[variant], 4))
                if variant == "plain":
                    rows[:, 3] = np.nan
                probes.extend((variant, seed, epoch, layer, *row) for layer, row in enumerate(rows, start=1))
    return (
        pd.DataFrame(norms, columns=["variant", "seed", "epoch", "layer", "grad_norm"]),
        pd.DataFrame(
            probes, columns=["variant", "seed", "epoch", "layer", "x_std", "z_std", "dead_fraction", "branch_ratio"]
        ),
        pd.DataFrame(history, columns=["variant", "seed", "epoch", "train_loss", "val_loss", "val_accuracy"]),
    )


def drawn(name, about, data=None):
    norms, probes, history = data or tables(about)
    if name == "gradient_flow":
        return gradient_flow.draw(
            norms,
            about,
            theory={"plain": predicted(about.depths["plain"])} if "plain" in about.diverged else {},
            vanished_below=1e-3,
            losses=dict.fromkeys(about.diverged, 0.7),
        )
    if name == "gradient_heatmap":
        return gradient_heatmap.draw(norms, about)
    if name == "loss_curves":
        return loss_curves.draw(history, about)
    if name == "activations":
        return activations.draw(probes, about)
    slope = 1 / (1 + np.exp(-np.add.outer(np.linspace(-2, 2, 20), np.linspace(-3, 3, 20))))
    grids = {v: np.repeat(slope[None], about.seeds - len(lost), axis=0) for v, lost in about.diverged.items()}
    points = np.random.default_rng(0).normal(size=(40, 2))
    labels = (points[:, 0] > 0).astype(np.int64)
    names = (["a feature with a $long$ name", "x2"], ("0", "a class with a $long$ name"))
    return decision_boundary.draw(grids, EXTENT, points, labels, *names, about)


def shown_texts(figure: Figure) -> list[Text]:
    """The texts that are drawn: not those of hidden panels, nor of ticks outside the axes."""
    hidden = set()
    for axes in figure.axes:
        if not axes.get_visible():
            hidden.update(axes.findobj(Text))
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not low <= tick.get_loc() <= high:
                    hidden.update((tick.label1, tick.label2))
    texts = [text for text in figure.findobj(Text) if text not in hidden]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def all_words(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text().split()) for text in shown_texts(figure))


TWELVE = ["plain", *(f"variant_{i}" for i in range(10)), LONG]
ODD = {
    "depth 20": experiment(["plain", "residual"], depth=20, epochs=30),
    "depth 40, three variants": experiment(["plain", "residual", "third"], depth=40),
    "one of all": experiment(["residual"], depth=1, seeds=1, epochs=1),
    "twelve variants": experiment(TWELVE, diverged={LONG: {0: 2, 2: 4}}),
    "long names, all diverged": experiment(
        ["plain", LONG], seeds=2, diverged={"plain": {0: 1, 1: 1}, LONG: {0: 1, 1: 1}}
    ),
    "depths 2 to 40": experiment(["plain", "shallow", "deep"], depth=8, depths={"shallow": 2, "deep": 40}),
    "depth 2, some diverged": experiment(["plain", "residual"], depth=2, diverged={"residual": {0: 1, 1: 3}}),
}


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("about", ODD.values(), ids=ODD.keys())
def test_nothing_overlaps_or_leaves_the_page(name, about):
    rows = name == "activations" and len(about.diverged) > len(style.COLOURS)
    check_layout(drawn(name, about), smallest=0.5 if rows else 0.9)


def check_layout(figure, smallest=0.9):
    """Nothing lies outside the page or on something else; panels are at least ``smallest`` inches high."""
    with matplotlib.rc_context(style.RC):
        figure.draw_without_rendering()
    page = figure.bbox.padded(1)
    boxes = {text: text.get_window_extent() for text in shown_texts(figure)}
    outside = [text.get_text() for text, box in boxes.items() if not _within(box, page)]
    assert not outside
    overlapping = [
        (a.get_text(), b.get_text())
        for a, b in combinations(boxes, 2)
        if boxes[a].padded(-1).overlaps(boxes[b].padded(-1))
    ]
    assert not overlapping
    assert _within(figure.get_tightbbox(), Bbox.from_bounds(-0.01, -0.01, *(figure.get_size_inches() + 0.02)))
    panels = [axes.get_window_extent() for axes in figure.axes if axes.get_visible()]
    assert min(panel.height for panel in panels) > smallest * figure.dpi
    on_panels = [(t.get_text(), p) for t, box in boxes.items() for p in panels if t.axes is None and box.overlaps(p)]
    assert not on_panels


def _within(box, page):
    return page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_input_gives_the_same_bytes(name, tmp_path):
    for folder in ("a", "b"):
        style.save(drawn(name, ODD["depth 2, some diverged"]), tmp_path / folder / name, dpi=50)
    for ending in (".png", ".svg"):
        first, second = ((tmp_path / folder / name).with_suffix(ending).read_bytes() for folder in ("a", "b"))
        assert first == second
    assert b"<dc:date>" not in first


def test_figures_of_many_variants_stay_small(tmp_path):
    about = experiment(TWELVE, depth=40, epochs=30)
    style.save(drawn("activations", about), tmp_path / "activations", dpi=30)
    assert (tmp_path / "activations.svg").stat().st_size < 100_000 * len(TWELVE)


def test_a_variant_has_one_colour_in_every_figure_even_after_others_diverged():
    about = experiment(["plain", "residual", "third"], diverged={"plain": {0: 1, 1: 1, 2: 1}})
    for name in FIGURES:
        figure = drawn(name, about)
        if name in WITHOUT_CURVES:
            titles = {axes.get_title(loc="left").split("\n")[0]: axes for axes in figure.axes}
            colours = [
                to_hex(next(t for t in titles[v].findobj(Text) if t.get_text().split("\n")[0] == v).get_color())
                for v in about.diverged
            ]
        else:
            handles = {handle.get_label(): handle for handle in figure.legends[0].legend_handles}
            colours = [to_hex(handles[about.label(variant)].get_color()) for variant in about.diverged]
        assert colours == [colour.lower() for colour in style.COLOURS[:3]], name


@pytest.mark.parametrize("name", FIGURES)
def test_divergence_is_said_in_words(name):
    assert "1 of 3 seeds diverged, epoch 2" in all_words(
        drawn(name, experiment(["plain", "residual"], diverged={"residual": {1: 2}}))
    )
    lost = {"plain": {0: 1, 1: 1, 2: 1}, "residual": {0: 1, 1: 3, 2: 1}}
    words = all_words(drawn(name, experiment(["plain", "residual"], diverged=lost)))
    assert "3 of 3 seeds diverged, epoch 1" in words
    assert "3 of 3 seeds diverged, epochs 1 to 3" in words


@pytest.mark.parametrize("name", FIGURES)
def test_the_caption_stands_below(name):
    about = ODD["depth 2, some diverged"]
    assert " ".join(about.caption.split()) in all_words(drawn(name, about))


def test_gradient_flow_draws_medians_bands_theory_and_threshold():
    about = ODD["depth 20"]
    norms, *_ = data = tables(about)
    first, last = drawn("gradient_flow", about, data).axes
    for axes, epoch in ((first, 1), (last, 30)):
        rows = norms[(norms["epoch"] == epoch) & (norms["variant"] == "residual") & norms["layer"].between(1, 20)]
        line = _line(axes, style.COLOURS[1], points=20)
        np.testing.assert_allclose(line.get_ydata(), rows.groupby("layer")["grad_norm"].median())
        bands = [band for band in axes.collections if isinstance(band, PolyCollection)]
        band = next(band for band in bands if to_hex(band.get_facecolor()[0]) == style.COLOURS[1].lower())
        heights = band.get_paths()[0].vertices
        assert {rows.query("layer == 7")["grad_norm"].min(), rows.query("layer == 7")["grad_norm"].max()} <= {
            y for x, y in heights if x == 7
        }
        assert any(len(set(line.get_ydata())) == 1 and line.get_ydata()[0] == 1e-3 for line in axes.lines)
    dashed = _line(first, style.DARK, points=20).get_ydata()
    assert dashed[-1] == _line(first, style.COLOURS[0], points=20).get_ydata()[-1]
    np.testing.assert_allclose(dashed / dashed[-1], predicted(20))
    assert not [line for line in last.lines if line.get_color() == style.DARK]


def _line(axes, colour, points):
    return next(line for line in axes.lines if line.get_color() == colour and len(line.get_xdata()) == points)


def test_gradient_flow_marks_norms_of_exactly_zero_and_leaves_them_out_of_the_line():
    about = experiment(["plain", "residual"])
    norms, probes, history = tables(about)
    norms.loc[(norms["variant"] == "plain") & (norms["layer"] <= 2), "grad_norm"] = 0.0
    figure = drawn("gradient_flow", about, (norms, probes, history))
    line = _line(figure.axes[0], style.COLOURS[0], points=6)
    assert np.isnan(line.get_ydata()).tolist() == [True, True, False, False, False, False]
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "v"]
    assert len(marks[0].get_xdata()) == 3  # stem and blocks 1 and 2
    assert "exactly 0" in all_words(figure)


def test_marks_of_zero_stand_on_the_edge_and_clear_of_the_labels():
    about = experiment(["plain", "residual"])
    norms, probes, history = tables(about)
    norms.loc[norms["layer"] == 2, "grad_norm"] = 0.0
    figure = drawn("gradient_flow", about, (norms, probes, history))
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "v"]
    assert [tuple(line.get_ydata()) for line in marks] == [(0,)] * 2  # of the axes' height
    with matplotlib.rc_context(style.RC):
        figure.draw_without_rendering()
    labels = [label.get_window_extent() for label in figure.axes[0].get_xticklabels() if label.get_text()]
    assert not [box for box in labels for line in marks if box.overlaps(line.get_window_extent().padded(2))]
    assert marks[0].get_markersize() > marks[1].get_markersize(), "the first one's mark shows behind the second's"


def test_more_variants_than_colours_have_a_panel_each():
    about = experiment(TWELVE, depth=20, epochs=30)
    norms, _, history = data = tables(about)
    flow, losses = (drawn(name, about, data) for name in ("gradient_flow", "loss_curves"))
    for figure, rows, value in (
        (flow, norms[norms["epoch"] == 30].query("1 <= layer <= 20"), "grad_norm"),
        (losses, history, "val_loss"),
    ):
        panels = {axes.get_title(loc="left").split("\n")[0]: axes for axes in figure.axes if axes.get_visible()}
        assert len(panels) == 12
        by = "layer" if value == "grad_norm" else "epoch"
        for variant in ("plain", "variant_3"):
            expected = rows[rows["variant"] == variant].groupby(by)[value].median()
            lines = [line for line in panels[variant].lines if line.get_linewidth() == 1.6]
            (own,) = lines
            np.testing.assert_allclose(own.get_ydata(), expected)
            assert sum(line.get_color() == style.LIGHT for line in panels[variant].lines) == 11
    assert "accuracy" in all_words(losses)


def rows_of(figure):
    """The panels of each variant, by the name beside them."""
    grid = np.array(figure.axes).reshape(-1, 4)
    return {re.sub(r"\s", "", row[0].get_ylabel()): row for row in grid}


def test_activations_of_more_variants_than_colours_have_a_row_of_panels_each():
    about = experiment(TWELVE, depth=20, epochs=30)
    _, probes, _ = data = tables(about)
    figure = drawn("activations", about, data)
    rows = rows_of(figure)
    assert list(rows) == TWELVE
    for place, column in enumerate(("x_std", "z_std", "dead_fraction", "branch_ratio")):
        own = probes[probes["variant"] == "variant_3"].groupby(["epoch", "layer"])[column].median()
        dashed, solid = (line for line in rows["variant_3"][place].lines if line.get_color() == style.COLOURS[4])
        np.testing.assert_allclose(dashed.get_ydata(), own[0])
        np.testing.assert_allclose(solid.get_ydata(), own[30])
        assert dashed.get_linestyle() != solid.get_linestyle()
        others = [line for line in rows["variant_3"][place].lines if line.get_color() == style.LIGHT]
        assert len(others) == 11 - (column == "branch_ratio"), "a plain network has no branch"
    assert "no skip connection" in all_words(figure) and "at initialisation" in all_words(figure)


def test_panels_have_the_layers_of_their_own_variant_beside_others_of_its_depth():
    about = experiment(TWELVE, depth=20, depths={"variant_3": 100, "variant_4": 100, "variant_5": 2})
    data = tables(about)
    flow = {axes.get_title(loc="left").split("\n")[0]: axes for axes in drawn("gradient_flow", about, data).axes}
    activations = {name: row[0] for name, row in rows_of(drawn("activations", about, data)).items()}
    for panels in (flow, activations):
        for variant, others in (("plain", 8), ("variant_3", 1), ("variant_5", 0)):
            grey = [line for line in panels[variant].lines if line.get_color() == style.LIGHT]
            assert [len(line.get_xdata()) for line in grey] == [about.depths[variant]] * others
            low, high = panels[variant].get_xlim()
            depth = about.depths[variant]
            assert 0.5 - 0.1 * depth < low < 1 and depth < high < 1.1 * depth + 0.5
    assert "the other variants of this depth" in all_words(drawn("loss_curves", about, data))


@pytest.mark.parametrize("name", FIGURES)
def test_a_panel_with_nothing_to_show_says_why(name):
    about = experiment(TWELVE, seeds=2, diverged={"variant_3": {0: 1, 1: 1}})
    said = {
        "gradient_flow": "above the axes",
        "gradient_heatmap": "no seed left",
        "loss_curves": "no seed finished its first epoch",
        "activations": "2 of 2 seeds diverged",
        "decision_boundary": "no boundary to show",
    }
    norms, probes, history = tables(about)
    norms.loc[norms["variant"] == "variant_3", "grad_norm"] *= 1e15
    assert said[name] in all_words(drawn(name, about, (norms, probes, history)))


def test_small_gradients_of_many_variants_are_explained_beside_their_names():
    words = all_words(drawn("gradient_flow", experiment(TWELVE, depth=20, epochs=30)))
    assert "see the train loss" in words and "variant_3 train loss 0.7" in words


def test_losses_of_a_start_that_explodes_do_not_flatten_what_is_learnt():
    about = experiment(["plain", "residual"])
    norms, probes, history = tables(about)
    said = "Losses above 10 leave the axes"
    assert said not in all_words(drawn("loss_curves", about, (norms, probes, history)))
    history.loc[history["epoch"] == 1, ["train_loss", "val_loss"]] = 1e6
    figure = drawn("loss_curves", about, (norms, probes, history))
    assert figure.axes[0].get_ylim()[1] < 20 and said in all_words(figure)
    history.loc[history["epoch"] == about.epochs, "val_loss"] = 3e3
    assert drawn("loss_curves", about, (norms, probes, history)).axes[0].get_ylim()[1] > 3e3


def test_the_bar_of_colours_is_seen_at_once_however_tall_the_figure():
    for name in WITHOUT_CURVES:
        figure = drawn(name, experiment([f"variant_{i}" for i in range(32)]))
        with matplotlib.rc_context(style.RC):
            figure.draw_without_rendering()
        bar = figure.axes[-1].get_window_extent()
        assert bar.height < 8.1 * figure.dpi and bar.y1 > figure.bbox.height - 1.5 * figure.dpi


def test_a_seed_that_diverged_does_not_flatten_the_others():
    about = ODD["depth 2, some diverged"]
    for name in ("gradient_flow", "gradient_heatmap"):
        axes = drawn(name, about).axes[0 if name == "gradient_flow" else -1]
        assert axes.get_ylim()[1] < 1e3


def test_heatmap_tells_zero_absent_and_explosion_from_the_scale():
    about = experiment(["plain", "residual"], diverged={"residual": {0: 2, 1: 2, 2: 2}})
    norms, probes, history = tables(about)
    norms.loc[(norms["variant"] == "plain") & (norms["layer"] == 3), "grad_norm"] = 0.0
    figure = drawn("gradient_heatmap", about, (norms, probes, history))
    words = all_words(figure)
    assert "exactly 0" in words and "no seed left" in words and "above the scale" in words
    zeros, values = (mesh.get_array() for mesh in figure.axes[0].collections)
    rows = [0, 2, 3, 4, 5, 6, 7, 9]  # 1 and 8 are the gaps beside stem and head
    assert (~np.ma.getmaskarray(zeros)).any(1).nonzero()[0].tolist() == [4]
    expected = norms[norms["variant"] == "plain"].pivot_table(
        index="layer", columns="epoch", values="grad_norm", aggfunc="median"
    )
    np.testing.assert_allclose(values[rows].filled(0.0), expected)


def test_loss_curves_draw_the_medians_of_both_losses():
    about = ODD["depth 20"]
    *_, history = data = tables(about)
    losses, accuracies = drawn("loss_curves", about, data).axes
    medians = history[history["variant"] == "plain"].groupby("epoch").median(numeric_only=True)
    train, val = (line for line in losses.lines if line.get_color() == style.COLOURS[0])
    np.testing.assert_allclose(train.get_ydata(), medians["train_loss"])
    np.testing.assert_allclose(val.get_ydata(), medians["val_loss"])
    assert train.get_linestyle() != val.get_linestyle()
    np.testing.assert_allclose(_line(accuracies, style.COLOURS[0], 30).get_ydata(), medians["val_accuracy"])


def test_the_loss_axis_does_not_magnify_noise():
    about = experiment(["plain"])
    norms, probes, history = tables(about)
    history["val_loss"] = history["train_loss"] = np.linspace(0.6931, 0.6932, len(history))
    low, high = drawn("loss_curves", about, (norms, probes, history)).axes[0].get_ylim()
    assert high / low >= 4


def test_activations_show_initialisation_and_last_epoch():
    about = ODD["depth 20"]
    _, probes, _ = data = tables(about)
    panels = np.array(drawn("activations", about, data).axes).reshape(4, 2)
    for row, column in enumerate(("x_std", "z_std", "dead_fraction", "branch_ratio")):
        for side, epoch in enumerate((0, 30)):
            rows = probes[(probes["epoch"] == epoch) & (probes["variant"] == "residual")]
            line = _line(panels[row, side], style.COLOURS[1], points=20)
            np.testing.assert_allclose(line.get_ydata(), rows.groupby("layer")[column].median())


def test_a_plain_network_alone_has_no_branch_and_the_figure_says_so():
    assert "no variant has a skip connection" in all_words(drawn("activations", experiment(["plain"])))


def test_the_boundary_is_that_of_the_single_networks_and_of_the_seeds_asked_for(tmp_path):
    import torch

    described = {"network": "mlp", "block": "residual", "settings": {"scale": 0.5}, "depth": 3, "width": 8}
    about = described | {"widths": None, "seeds": 3}
    network = stack(partial(build, about), seeds=3, init="default", seed=0)
    checkpoints.save(tmp_path / "r.safetensors", network, about)
    grids = boundary.probabilities(network, EXTENT, [0, 2])
    assert grids.shape == (2, boundary.SIZE, boundary.SIZE)
    corner = torch.tensor([[EXTENT[0], EXTENT[3]]])  # upper left: last row, first column
    for grid, seed in zip(grids, (0, 2), strict=True):
        single = checkpoints.load(tmp_path / "r.safetensors", seed)(corner).softmax(1)[0, 1].item()
        assert grid[-1, 0] == pytest.approx(single, abs=1e-6)
    assert boundary.probabilities(network, EXTENT, []).shape == (0, boundary.SIZE, boundary.SIZE)


def test_the_boundary_comes_back_from_its_table_as_it_was(tmp_path):
    random = np.random.default_rng(0)
    for seeds in ([0, 2], []):
        grids = random.random((len(seeds), 3, 3), dtype=np.float32)
        logs.write_boundary(tmp_path / "a.parquet", grids, seeds)
        table = artefacts.read_table(tmp_path / "a.parquet", logs.BOUNDARY)
        assert table["seed"].unique().tolist() == seeds
        found = plot._grid(table)
        assert np.array_equal(found, grids) if seeds else len(found) == 0


def caption(**changes):
    """What stands below the figures of the root's params.yaml with some values changed."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        section, _, last = key.rpartition("__")
        (params[section] if section else params)[last] = value
    config = Recipe.model_validate(params)
    metrics = {name: {"diverged": []} for name in config.variants}
    source = {"source": config.data.source, "path": config.data.path, "rows": config.data.samples}
    return setting.of_recipe(config, metrics, source).caption


def test_a_caption_says_how_the_networks_were_trained():
    assert caption() == (
        "Depth 20, width 64, 8 seeds, 100 epochs of SGD (learning rate 0.1, momentum 0.9, batches of 128, gradients"
        " clipped at norm 1), PyTorch's default initialisation. Variants: residual with scale 0.7071."
        " Seeds differ in their initial weights alone. Data: two moons made by scikit-learn with noise 0.2, 2,000 rows."
    )
    assert "100 epochs of Adam (learning rate 0.1, batches of 128," in caption(train__optimizer="adam")
    own = {"b": {"block": "plain", "widths": [64, 32], "train": {"optimizer": "adamw", "lr": 0.01}}}
    said = caption(variants={"a": {"block": "plain"}} | own)
    assert "Variants: a with plain blocks; b with plain blocks, widths 64, 32, AdamW, learning rate 0.01." in said
    deep = {name: {"block": "plain", "depth": depth, "widths": [8]} for name, depth in (("a", 3), ("b", 5))}
    said = caption(variants=deep)
    assert said.startswith("8 seeds, 100 epochs"), "what all variants replace by their own is nobody's"
    assert "a with plain blocks, depth 3, widths 8; b with plain blocks, depth 5, widths 8" in said
    many = caption(variants={f"v{number}": {"block": "plain"} for number in range(20)})
    assert "differ" not in many.partition("Seeds")[0], "there is nothing in which they differ"
    depths = {f"v{number}": {"block": "plain", "depth": number, "train": {"init": "he"}} for number in range(2, 20)}
    depths["a"] = {"block": "residual", "scale": 0.5, "train": {"init": "he", "clip_norm": None}}
    many = caption(variants=depths)
    assert many.startswith("Width 64, 8 seeds, 100 epochs of SGD (learning rate 0.1, momentum 0.9, batches of 128), He")
    assert "differs: block, settings of the block, depth and clipping; see params.yaml." in many and "v3" not in many
    rates = {"lr": 0.01, "warmup": 0.1, "precision": "float16", "loss_scale": 1024.0, "optimizer": "adamw"}
    rates["transfer"] = {"depth": 2, "width": 64, "exponent": 0.5}
    said = caption(variants={"a": {"block": "prenorm", "train": rates}})
    assert "AdamW in float16, loss times 1024" in said
    assert "learning rate 0.01 after a warm-up over 10% of the steps" in said
    assert "by CompleteP from depth 2 and width 64 with exponent 0.5" in said
    sgd = {"a": {"block": "plain"}, "b": {"block": "plain", "train": {"optimizer": "sgd"}}}
    assert "b with plain blocks, SGD, momentum 0.9." in caption(train__optimizer="adam", variants=sgd)


def test_captions_of_runs_that_differ_differ():
    scaled = {"residual": {"block": "residual", "scale": 0.2}}
    changes = ({}, {"data__noise": 0.3}, {"seeds": 1}, {"variants": scaled}, {"train__lr": 0.2})
    assert len({caption(**change) for change in changes}) == len(changes)
    assert "differ" not in caption(seeds=1) + caption(seeds=1, train__order="own")
    own = " Seeds differ in their initial weights and in the order of their batches. Data:"
    assert own in caption(train__order="own")


# Every key of params.yaml that changes what the figures show, with a value that is not the one in the file.
CHANGED = {
    "depth": 10,
    "width": 32,
    "seeds": 4,
    "data": {"source": ["file", "hub"], "samples": 1000, "noise": 0.25, "seed": 3},
    "split": {"validation": 0.25, "seed": 3},
    "train": {
        "epochs": 50,
        "batch_size": 64,
        "order": "own",
        "optimizer": ["adam", "adamw"],
        "lr": 0.15,
        "warmup": [0.001, 0.1, 0.101],
        "transfer": [
            {"depth": 2, "width": 64, "exponent": 1.0},
            {"depth": 4, "width": 64, "exponent": 1.0},
            {"depth": 2, "width": 32, "exponent": 1.0},
            {"depth": 2, "width": 64, "exponent": 0.5},
        ],
        "momentum": 0.8,
        "clip_norm": [None, 0.5],
        "precision": ["bfloat16", "float16"],
        "loss_scale": 1024.0,
        "init": [init for init in get_args(Init) if init != "default"],
        "seed": 3,
    },
    "variants": {},  # below
    "probe": {"samples": 256},
    "analysis": {"learnt_below": 0.2},
    "plot": {},
}
# Said elsewhere, or of no consequence for what a figure shows.
NOT_SAID = {
    "data": {"path", "revision"},  # of sources that the file does not choose: below
    "probe": {"every"},  # the first and the last epoch are drawn
    "analysis": {"vanished_below"},  # a line in the figure, with its value
    "plot": {"dpi", "against"},
}


def test_captions_differ_in_whatever_parameter_runs_differ():
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values = []
    for key, changed in CHANGED.items():
        if isinstance(changed, dict):
            assert key == "variants" or {*params[key]} == {*changed} | NOT_SAID.get(key, set())
            values += [(f"{key}__{name}", value) for name, value in changed.items()]
        else:
            values.append((key, changed))
    assert {*params} == {*CHANGED}
    runs = [{key: each} for key, value in values for each in (value if isinstance(value, list) else [value])]
    runs += [{"data__source": "hub", "data__path": "a/b"}, {"data__source": "file", "data__path": "a/b"}]
    runs += [{"data__source": "hub", "data__revision": revision} for revision in ("v1", "v2")]
    said = [caption(), *(caption(**run) for run in runs)]
    assert len({*said}) == len(said), [text for text in said if said.count(text) > 1]


@pytest.mark.parametrize("block", catalogue.names())
def test_captions_differ_in_whatever_a_variant_has_of_its_own(block):
    own = [{}, {"depth": 9}, {"train": {"lr": 0.2}}, {"train": {"init": "he"}}, {"train": {"clip_norm": None}}]
    own += [{"train": {"optimizer": "adam"}}, {"train": {"momentum": 0.5}}, {"train": {"precision": "float16"}}]
    own += [{"train": {"warmup": 0.2}}, {"train": {"loss_scale": 8.0}}] + [{"widths": [64, 32]}] * (block == "plain")
    for name, (annotation, default) in catalogue.settings(block).items():
        names = (each for each in get_args(annotation) if isinstance(each, str) and each != default)
        other = not default if annotation is bool else 3 if annotation is int else 0.123
        own.append({name: next(names, other)})
    said = [caption(variants={"a": {"block": block, **each}}) for each in own]
    assert len({*said}) == len(said), [text for text in said if said.count(text) > 1]


def test_a_figure_with_small_gradients_says_how_large_the_losses_are():
    about = experiment(["plain", "residual"])
    norms, *_ = tables(about)
    losses = {"plain": 0.693, "residual": 0.04}
    small = gradient_flow.draw(norms, about, theory={}, vanished_below=1e9, losses=losses)
    assert "train loss at the end: plain 0.69, residual 0.04." in all_words(small)
    assert "solved" not in all_words(gradient_flow.draw(norms, about, theory={}, vanished_below=1e-99, losses=losses))


@pytest.mark.parametrize("init", get_args(Init))
def test_a_caption_has_words_for_every_initialisation(init):
    assert "initialisation" in caption(train__init=init)


def test_drawing_the_recipe_needs_no_pytorch():
    looked = "import sys, stages.plot; assert not {'torch', 'safetensors'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", looked], cwd=ROOT, check=True)


def test_a_network_that_sees_one_class_everywhere_is_named():
    grids = {"plain": np.full((3, 5, 5), 0.4)}
    figure = decision_boundary.draw(
        grids, EXTENT, np.zeros((2, 2)), np.array([0, 1]), ("x1", "x2"), ("0", "1"), experiment(["plain"])
    )
    assert "one class everywhere (3 of 3)" in all_words(figure)


def test_the_axes_of_the_decision_boundary_are_called_as_in_the_data():
    about = experiment(["plain"])
    figure = decision_boundary.draw(
        {"plain": np.empty((0, 1, 1))}, EXTENT, np.zeros((2, 2)), np.array([0, 1]), ("age", "$fee$"), ("0", "1"), about
    )
    assert "age (standardised)" in all_words(figure)
    assert "$fee$ (standardised)" in all_words(figure)
    assert not any(axes.yaxis.label.get_parse_math() for axes in figure.axes)


def test_text_of_users_is_drawn_as_it_is_on_one_line():
    assert style.words("a\nb  c", 20) == "a b c"
    assert style.words("x" * 50, 21) == f"{'x' * 10}…{'x' * 10}"
    assert style.words("月 moons", 20) == "\N{REPLACEMENT CHARACTER} moons"
    lines = style.wrap("a_rather_long_name_that_must_break and words", 8, 80)
    assert all(style.text_width(line, 8) <= 80 for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == "a_rather_long_name_that_must_breakandwords"
    assert lines[0].endswith("_")


def test_a_variant_that_lost_all_its_seeds_does_not_flatten_the_others():
    about = experiment(["plain", "wild"], seeds=2, diverged={"wild": {0: 2, 1: 2}})
    norms, _, history = tables(about)
    history.loc[history["variant"] == "wild", ["train_loss", "val_loss"]] = 1e22
    assert loss_curves.draw(history, about).axes[0].get_ylim()[1] < 10
    norms.loc[norms["variant"] == "wild", "grad_norm"] = 1e22
    flow = gradient_flow.draw(norms, about, theory={}, vanished_below=1e-3, losses={})
    assert flow.axes[0].get_ylim()[1] < 10


def test_heads_stand_in_one_place_whatever_the_depth():
    figure = drawn("gradient_flow", experiment(["plain", "shallow"], depth=9, depths={"shallow": 2}))
    points = [line for line in figure.axes[0].lines if line.get_linestyle() == "None" and len(line.get_xdata()) == 2]
    assert {tuple(line.get_xdata()) for line in points} == {tuple(points[0].get_xdata())}
    assert len(points) == 2


def swept(values, variants=("plain", "residual")):
    """Metrics as a sweep over values of a parameter finds them, of ranges small and large."""
    rows = []
    for place, variant in enumerate(variants):
        for at, value in enumerate(values):
            ratio = 10.0 ** (-3 * at * (place == 0))
            means = {
                "val_accuracy": 0.5 + 0.05 * at,
                "grad_first_over_last": ratio,
                "decay": 0.4 + place / 9,
                "lost": 8,
            }
            for metric, mean in means.items():
                width = 0.1 * mean if metric == "val_accuracy" else 0.0
                rows.append((variant, value, metric, mean, mean - width, mean + width))
    table = pd.DataFrame(rows, columns=["variant", "at", "metric", "mean", "min", "max"])
    return table, experiment(variants)


def test_metrics_by_parameter_draws_means_and_ranges_of_what_changes_on_the_axis_that_is_due():
    values = [10, 20, 30, 40]
    table, about = swept(values)
    figure = metric_by_parameter.draw(table, "depth", about)
    accuracy, ratio, decay = (axes for axes in figure.axes if axes.get_visible())
    assert [axes.get_title(loc="left") for axes in (accuracy, ratio, decay)] == [
        "val_accuracy", "grad_first_over_last", "decay",
    ]  # fmt: skip  # not what is 8 everywhere
    assert [axes.get_yscale() for axes in (accuracy, ratio, decay)] == ["linear", "log", "linear"]
    assert accuracy.get_xscale() == "linear" and list(accuracy.get_xticks()) == values
    for colour in style.COLOURS[:2]:
        np.testing.assert_allclose(_line(accuracy, colour, points=4).get_ydata(), [0.5, 0.55, 0.6, 0.65])
    band = next(band for band in accuracy.collections if isinstance(band, PolyCollection))
    heights = [y for x, y in band.get_paths()[0].vertices if x == 40]
    np.testing.assert_allclose([min(heights), max(heights)], [0.9 * 0.65, 1.1 * 0.65])
    assert "mean over seeds; band: smallest to largest" in all_words(figure)


def test_metrics_by_parameter_takes_any_values():
    table, about = swept([1e-3, 1e-2, 1e-1])
    assert metric_by_parameter.draw(table, "train.lr", about).axes[0].get_xscale() == "log"

    table, about = swept(["default", "he", "null"])
    axes = metric_by_parameter.draw(table, "train.init", about).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["default", "he", "null"]
    assert not [line for line in axes.lines if line.get_linestyle() != "None"]  # between words there is nothing

    table, about = swept([10, 20, 40])
    said = "Where a point is missing, no seed has a number"
    assert said not in all_words(metric_by_parameter.draw(table, "depth", about))
    lost = (table["metric"] == "val_accuracy") & (table["at"] == 40) & (table["variant"] == "residual")
    assert lost.sum() == 1 and said in all_words(metric_by_parameter.draw(table[~lost], "depth", about))
    table.loc[(table["metric"] == "grad_first_over_last") & (table["at"] == 40), ["mean", "min", "max"]] = 0.0
    figure = metric_by_parameter.draw(table, "depth", about)
    assert figure.axes[1].get_yscale() == "log" and "exactly 0" in all_words(figure)
    assert metric_by_parameter.draw(table[table["metric"] == "lost"], "depth", about) is None


def test_metrics_of_more_variants_than_colours_are_rows_with_a_marker_for_each_value():
    table, about = swept([20, 100], TWELVE)
    about = replace(about, diverged_at={"variant_3": {100: 3}})
    table = table[~((table["variant"] == "variant_3") & (table["metric"] == "val_accuracy") & (table["at"] == 100))]
    figure = metric_by_parameter.draw(table, "depth", about)
    accuracy, ratio, decay = figure.axes
    assert [axes.get_xscale() for axes in (accuracy, ratio, decay)] == ["linear", "log", "linear"]
    names = [" ".join(label.get_text().split()) for label in accuracy.get_yticklabels()]
    assert names[:4] == ["plain", "variant_0", "variant_1", "variant_2"]
    assert names[4] == "variant_3 (diverged: 3 of 3 seeds at 100)"
    shallow, deep = (line for line in accuracy.lines if line.get_linestyle() == "None")
    assert shallow.get_xdata().tolist() == [0.5] * 12 and deep.get_xdata().tolist() == [0.55] * 11
    assert shallow.get_marker() != deep.get_marker() and to_hex(shallow.get_color()) != to_hex(deep.get_color())
    assert [round(y) for y in deep.get_ydata()] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert all(y < row for row, y in enumerate(shallow.get_ydata()))
    low, high = accuracy.get_ylim()
    assert low > high, "the first variant is on top"
    bars = next(bars for bars in accuracy.collections if len(bars.get_paths()) == 11)
    np.testing.assert_allclose(bars.get_paths()[0].vertices[:, 0], [0.9 * 0.55, 1.1 * 0.55])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["depth 20", "depth 100"]
    words = all_words(figure)
    assert "Marker: mean over seeds; bar: smallest to largest" in words and "Where a point is missing" in words


def test_rows_mark_what_has_no_logarithm_and_take_texts():
    table, about = swept(["default", "he"], TWELVE)
    table.loc[(table["metric"] == "grad_first_over_last") & (table["variant"] == LONG), ["mean", "min", "max"]] = 0.0
    figure = metric_by_parameter.draw(table, "train.init", about)
    marks = [line for line in figure.axes[1].lines if line.get_marker() == "<"]
    assert [round(y) for line in marks for y in line.get_ydata()] == [11, 11] and "exactly 0" in all_words(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["train.init default", "train.init he"]


def test_a_legend_of_rows_names_some_of_many_values():
    table, about = swept(list(range(1, 60)), TWELVE)
    texts = [text.get_text() for text in metric_by_parameter.draw(table, "depth", about).legends[0].get_texts()]
    assert texts == [f"depth {depth}" for depth in (1, 11, 20, 30, 40, 49, 59)]


def test_a_caption_of_metrics_says_no_more_than_the_figure_needs():
    table, about = swept([10, 20])
    assert "not drawn" in all_words(metric_by_parameter.draw(table, "depth", about))
    words = all_words(metric_by_parameter.draw(table[table["metric"] == "val_accuracy"], "depth", about))
    assert "not drawn" not in words and "one number for all seeds" not in words


def test_rows_are_the_same_bytes_each_time(tmp_path):
    for folder in ("a", "b"):
        style.save(
            metric_by_parameter.draw(*swept([20, 100], TWELVE)[:1], "depth", experiment(TWELVE)),
            tmp_path / folder / "m",
            50,
        )
    assert (tmp_path / "a/m.png").read_bytes() == (tmp_path / "b/m.png").read_bytes()
    assert (tmp_path / "a/m.svg").read_bytes() == (tmp_path / "b/m.svg").read_bytes()


def test_metrics_by_words_are_within_their_axes():
    table, about = swept(["default", "he"])
    for axes in metric_by_parameter.draw(table, "train.init", about).axes:
        shown = table[table["metric"] == axes.get_title(loc="left")]
        low, high = axes.get_ylim()
        assert len(shown) and low < shown["min"].min() <= shown["max"].max() < high


@pytest.mark.parametrize("values", [[10, 40], [1, 2, 5, 10, 20, 40], list(range(1, 60))])
@pytest.mark.parametrize("variants", [("plain", "residual"), TWELVE], ids=len)
def test_metrics_by_parameter_overlap_nothing(values, variants):
    table, about = swept(values, variants)
    check_layout(metric_by_parameter.draw(table, "variants.residual.scale", about))
