"""The explorer of the page in a real browser: what is drawn is what the table holds, and what was never run says so."""

import itertools
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from playwright.sync_api import expect

from gradflow.params.loading import load
from gradflow.recipe import Recipe
from gradflow.report import explorer
from gradflow.tables import configuration
from tests.trainings import DEPTHS, EMPTY, LOST, RUNS, SKIPS

CHECKOUT = Path(__file__).parents[2]
QUANTITIES = ("weight_grad_norm", "stream", "val_loss", "val_accuracy")


@pytest.fixture
def table(results):
    return pd.read_csv(results.root / "reports/explorer.csv")


def rows(table, run, quantity, when):
    """What the table has of a curve."""
    own = table[(table["study"] == run["study"]) & (table["variant"] == run["variant"])]
    own = own[own["quantity"] == quantity]
    if quantity not in explorer.BY_LAYER:
        return own.sort_values("epoch").rename(columns={"epoch": "at"})
    own = own[(own["epoch"] == 0) == (when == "start")]
    return own.sort_values("layer").rename(columns={"layer": "at"})


def drawn(panel, quantity, kind):
    """The points of a curve, read off its axes as a reader does: place and value of each."""
    chart = panel.locator(f"[data-quantity={quantity}]")
    log = chart.get_attribute("data-scale") == "log"
    axes = {}
    for axis, at in (("x", "x"), ("y", "y")):
        ticks = chart.locator(f".tick.{axis}").evaluate_all(
            f"all => all.map(e => [Number(e.getAttribute('{at}')), Number(e.dataset.value)])"
        )
        places, values = np.array(ticks, dtype=float).T
        places = places - 4 if axis == "y" else places  # letters stand a little below their line
        values = np.log10(values) if axis == "y" and log else values
        axes[axis] = np.polynomial.Polynomial.fit(places, values, 1)
    text = chart.locator(f".curve.{kind}").get_attribute("d")
    pixels = np.array(re.findall(r"[ML]([\d.-]+),([\d.-]+)", text), dtype=float).reshape(-1, 2)
    values = axes["y"](pixels[:, 1])
    return axes["x"](pixels[:, 0]), 10**values if log else values


def values_read(panel, quantity, line=0):
    """Place to mean, low and high, as the arrow keys read them from the chart."""
    frame = panel.locator(f"[data-quantity={quantity}] .frame")
    frame.press("Home")
    found = {}
    for _ in range(int(frame.get_attribute("aria-valuemax")) + 1):
        head, *lines = panel.locator(f"[data-quantity={quantity}] .tip div").all_text_contents()
        if line < len(lines):
            numbers = re.search(r": (\S+) \((\S+) to (\S+)\)$", lines[line]).groups()
            found[int(head.split()[-1])] = [float(number) for number in numbers]
        frame.press("ArrowRight")
    frame.press("Escape")
    return found


def is_drawn(panel, table, run, kind, when, line=0):
    """Whether all four charts show a training: by its curve, within a pixel, and number by number."""
    for quantity in QUANTITIES:
        own = rows(table, run, quantity, when)
        expected = {row.at: [row.mean, row.low, row.high] for row in own.itertuples()}
        assert values_read(panel, quantity, line) == expected, (run["variant"], quantity)
        seen = own[(own["mean"] > 0)]
        at, values = drawn(panel, quantity, kind)
        np.testing.assert_allclose(at, seen["at"], atol=0.03)
        np.testing.assert_allclose(values, seen["mean"], rtol=0.15 if quantity == "weight_grad_norm" else 0.05)
    return True


def choose(panel, run):
    """Choose a training by all that it is made of."""
    shown = {key: value for key, value in run["settings"].items() if key != "norm" and (key, value) != ("exponent", 0)}
    wanted = {
        "block": run["block"],
        "depth": str(run["depth"]),
        "settings": ", ".join(f"{key} {value:.4g}" for key, value in shown.items()) or "none",
        "init": run["init"],
        "norm": run["settings"].get("norm", "none"),
        "clip": "without" if run["clip_norm"] is None else f"at norm {run['clip_norm']:g}",
    }
    for key, value in wanted.items():
        panel.locator(f"[name={key}]").select_option(value=value)
    alternatives = panel.locator("[name=run]")
    if alternatives.is_visible():
        place = [text.split(":")[0] for text in alternatives.locator("option").all_inner_texts()]
        alternatives.select_option(index=place.index(f"{run['study']}/{run['variant']}"))


CHOSEN = [run for run in RUNS if run["variant"] != LOST]


def test_ten_choices_show_the_numbers_of_the_table(visit, page_file, table):
    panel = visit(page_file).locator("#runs")
    checked = 0
    for run, when in zip(CHOSEN[2:12], itertools.cycle(("start", "end"))):
        choose(panel, run)
        panel.locator(".when").select_option(when)
        expect(panel.locator(".status")).to_contain_text(f"({run['study']}/{run['variant']})")
        checked += is_drawn(panel, table, run, "first", when)
        expect(panel.locator(".facts")).to_contain_text(run["command"])
    assert checked == 10


def test_a_pinned_training_stays_beside_the_next_one(visit, page_file, table):
    panel = visit(page_file).locator("#runs")
    by_name = {run["variant"]: run for run in RUNS}
    before, after = by_name["skip_1"], by_name["plain_5"]
    choose(panel, before)
    panel.get_by_role("button", name="Pin this one").press("Enter")
    choose(panel, after)
    assert is_drawn(panel, table, before, "second", "start", line=0)
    assert is_drawn(panel, table, after, "first", "start", line=1)
    dashes = "e => getComputedStyle(e).strokeDasharray"
    assert panel.locator(".curve.second").first.evaluate(dashes) != "none"
    assert panel.locator(".curve.first").first.evaluate(dashes) == "none"
    expect(panel.locator(".legend .run")).to_have_text(
        ["pinned: partial, 5 blocks (explorer/skip_1)", "plain, 5 blocks (explorer/plain_5)"]
    )
    expect(panel.locator(".plane:visible")).to_have_count(2)
    panel.get_by_role("button", name="Unpin").press("Enter")
    expect(panel.locator(".curve.second")).to_have_count(0)
    expect(panel.locator(".plane:visible")).to_have_count(1)


def test_each_frame_of_the_sliders_is_a_training_that_names_itself(visit, page_file, table):
    panel = visit(page_file).locator("#explorer")
    by_name = {run["variant"]: run for run in RUNS}
    slider = panel.get_by_label("Scale of the skip connection")
    slider.press("Home")
    for place, skip in enumerate(SKIPS):
        assert slider.get_attribute("aria-valuetext") == f"{skip:g}"
        assert is_drawn(panel, table, by_name[f"skip_{place}"], "first", "start")
        expect(panel.locator(".facts .made")).to_contain_text(
            f"MLflow experiment gradflow-explorer, variant skip_{place};"
            f" cd studies && dvc repro explorer/dvc.yaml:train@skip_{place}"
        )
        slider.press("ArrowRight")
    slider = panel.get_by_label("Depth, plain beside residual")
    slider.press("Home")
    for depth in DEPTHS:
        assert slider.get_attribute("aria-valuetext") == f"{depth} blocks"
        assert is_drawn(panel, table, by_name[f"residual_{depth}"], "first", "start", line=1)
        assert is_drawn(panel, table, by_name[f"plain_{depth}"], "second", "start", line=0)
        slider.press("ArrowRight")


def test_theory_the_level_of_vanished_and_exact_zeros_are_marked(visit, page_file, table):
    panel = visit(page_file).locator("#runs")
    by_name = {run["variant"]: run for run in RUNS}
    choose(panel, by_name["plain_5"])
    gradient = panel.locator("[data-quantity=weight_grad_norm]")
    expect(gradient.locator(".theory")).to_have_count(1)
    expect(panel.locator(".theory-key")).to_be_visible()
    panel.locator(".when").select_option("end")
    expect(gradient.locator(".theory")).to_have_count(0)
    choose(panel, by_name[EMPTY])
    expect(gradient.locator(".zero")).to_have_count(1)
    assert values_read(panel, "weight_grad_norm")[1] == [0, 0, 0]


def test_the_level_of_vanished_stands_where_the_axis_says(visit, page_file, inputs, make):
    facts = inputs.root / "reports/explorer.json"
    content = json.loads(facts.read_text(encoding="utf-8"))
    content["runs"] = [run | {"vanished_below": 0.1} for run in content["runs"]]
    facts.write_text(json.dumps(content), encoding="utf-8")
    gradient = visit(make(inputs)).locator("#explorer [data-quantity=weight_grad_norm]")
    level = float(gradient.locator(".level").get_attribute("y1"))
    [tick] = gradient.locator(".tick.y").evaluate_all(
        "all => all.filter(e => e.dataset.value === '0.1').map(e => Number(e.getAttribute('y')) - 4)"
    )
    assert level == pytest.approx(tick)
    expect(gradient.locator(".level-text")).to_have_text("vanished below 0.1")


def test_a_training_of_which_no_seed_is_left_shows_how_it_began_and_ended(visit, page_file):
    panel = visit(page_file).locator("#runs")
    choose(panel, next(run for run in RUNS if run["variant"] == LOST))
    expect(panel.locator("[data-quantity=weight_grad_norm] .curve")).to_have_count(1)
    expect(panel.locator("[data-quantity=val_loss] .nothing")).to_have_text("all seeds had diverged")
    expect(panel.locator(".facts")).to_contain_text("3 of 3 seeds diverged in epoch 1")
    panel.locator(".when").select_option("end")
    expect(panel.locator("[data-quantity=weight_grad_norm] .curve")).to_have_count(0)


def test_what_was_never_run_gives_the_command_that_runs_exactly_that(visit, page_file, tmp_path):
    panel = visit(page_file).locator("#runs")
    by_name = {run["variant"]: run for run in RUNS}
    asked = {
        "pre": {"depth": "3", "clip": "without"},
        "residual_5": {"init": "he"},
        "skip_1": {"depth": "2", "clip": "without"},
    }
    for like, changed in asked.items():
        choose(panel, by_name[like])
        for key, value in changed.items():
            panel.locator(f"[name={key}]").select_option(value)
        expect(panel.locator(".never")).to_be_visible()
        expect(panel.locator(".status")).to_have_text("")
        expect(panel.locator(".curve")).to_have_count(0)
        folder, command = panel.locator(".command").inner_text().split(" && ")
        assert folder == "cd studies/explorer"
        *words, override = shlex.split(command)
        assert words == ["dvc", "exp", "run", "-S"]
        params = tmp_path / "params.yaml"
        params.write_bytes((CHECKOUT / "studies/explorer/params.yaml").read_bytes())
        before = yaml.safe_load(params.read_text(encoding="utf-8"))
        apply_overrides(params, [override])
        assert yaml.safe_load(params.read_text(encoding="utf-8"))["variants"].keys() - before["variants"] == {"asked"}
        config = load(Recipe, params)
        found, own = configuration.of(config, "asked"), configuration.own(config, "asked")
        assert {key: found[key] for key in ("block", "settings")} == {
            key: by_name[like][key] for key in ("block", "settings")
        }
        assert own.depth == int(changed.get("depth", by_name[like]["depth"]))
        assert own.train.init == changed.get("init", by_name[like]["init"])
        assert own.train.clip_norm == (None if "clip" in changed else by_name[like]["clip_norm"])


def test_the_options_say_which_choices_were_never_run(visit, page_file):
    panel = visit(page_file).locator("#runs")
    choose(panel, next(run for run in RUNS if run["variant"] == "residual_5"))
    said = dict(
        panel.locator("[name=depth] option, [name=init] option").evaluate_all("all => all.map(e => [e.value, e.text])")
    )
    assert said["3"] == "3" and said["he"] == "He (never run)"
