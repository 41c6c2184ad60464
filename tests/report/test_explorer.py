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


def drawn(panel, quantity, kind, what="curve"):
    """The points of a line, read off its axes as a reader does: place and value of each."""
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
    text = chart.locator(f".{what}.{kind}").get_attribute("d")
    pixels = np.array(re.findall(r"[ML]([\d.-]+),([\d.-]+)", text), dtype=float).reshape(-1, 2)
    values = axes["y"](pixels[:, 1])
    return axes["x"](pixels[:, 0]), 10**values if log else values


def values_read(panel, quantity, line=0):
    """Place to median, low and high, as the arrow keys read them from the chart."""
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
        expected = {row.at: [row.median, row.low, row.high] for row in own.itertuples()}
        assert values_read(panel, quantity, line) == expected, (run["variant"], quantity)
        seen = own[(own["median"] > 0)]
        at, values = drawn(panel, quantity, kind)
        np.testing.assert_allclose(at, seen["at"], atol=0.03)
        np.testing.assert_allclose(values, seen["median"], rtol=0.15 if quantity == "weight_grad_norm" else 0.05)
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
        ["pinned: partial, 5 blocks, skip 0.25 (explorer/skip_1)", "plain, 5 blocks (explorer/plain_5)"]
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
    params = tmp_path / "params.yaml"
    params.write_bytes((CHECKOUT / "studies/explorer/params.yaml").read_bytes())
    asked = [
        ("pre", {"depth": "3", "clip": "without"}),
        ("residual_5", {"init": "he"}),
        ("residual_5", {"init": "xavier"}),
        ("skip_1", {"depth": "2", "clip": "without"}),
    ]
    for like, changed in asked:
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
        before = yaml.safe_load(params.read_text(encoding="utf-8"))["variants"]
        apply_overrides(params, [override])  # one after the other, as readers do
        after = yaml.safe_load(params.read_text(encoding="utf-8"))["variants"]
        [name] = after.keys() - before.keys()
        assert {key: after[key] for key in before} == before
        config = load(Recipe, params)
        found, own = configuration.of(config, name), configuration.own(config, name)
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


def test_a_run_with_unusual_settings_comes_after_the_usual_one_and_does_not_count_as_run(visit, page_file):
    panel = visit(page_file).locator("#runs")
    by_name = {run["variant"]: run for run in RUNS}
    choose(panel, by_name["pre_fast"])
    expect(panel.locator("[name=run] option")).to_have_text(["zoo/pre_fast", "zoo/pre: lr 0.01"])
    expect(panel.locator(".never")).to_be_hidden()
    choose(panel, by_name["narrow"])
    expect(panel.locator(".never strong")).to_have_text("Run with other settings only.")
    expect(panel.locator(".command")).to_contain_text("block:rezero")
    expect(panel.locator(".facts")).to_contain_text("3 seeds, 4 epochs; width 32")


def test_settings_stand_in_the_order_of_their_numbers(visit, page_file):
    panel = visit(page_file).locator("#runs")
    panel.locator("[name=block]").select_option("partial")
    values = panel.locator("[name=settings] option").evaluate_all("all => all.map(e => e.value)")
    assert values == [f"skip {skip:g}" for skip in SKIPS]


def test_the_plane_has_the_colours_of_the_classes_and_the_points_where_they_are(visit, page_file):
    panel = visit(page_file).locator("#runs")
    choose(panel, RUNS[0])
    plane = panel.locator(".plane:visible")
    pixels = plane.locator("canvas").evaluate("e => [...e.getContext('2d').getImageData(0, 0, 50, 50).data]")
    lower_left, upper_right, middle = (pixels[4 * at : 4 * at + 4] for at in (49 * 50, 49, 24 * 50))
    assert lower_left[0] > 150 > lower_left[2] and lower_left[3] == 200, "orange: sure of the first class"
    assert upper_right[2] > 150 > upper_right[0] and upper_right[3] == 200, "blue: sure of the second one"
    assert middle[3] < 20, "unsure"
    first = plane.locator("circle.mark")
    assert [float(first.get_attribute(name)) for name in ("cx", "cy")] == [25, 37.5], "at -1, 0.5 of -2 to 2"
    expect(plane.locator("path.mark")).to_have_count(1)


def test_bands_reach_from_the_lowest_to_the_highest_seed_and_theory_stands_on_the_last_block(visit, page_file, table):
    panel = visit(page_file).locator("#runs")
    run = next(run for run in RUNS if run["variant"] == "plain_5")
    choose(panel, run)
    own = rows(table, run, "stream", "start")
    at, values = drawn(panel, "stream", "first", "band")
    np.testing.assert_allclose(at, [*own["at"], *own["at"][::-1]], atol=0.03)
    np.testing.assert_allclose(values, [*own["high"], *own["low"][::-1]], rtol=0.05)
    at, values = drawn(panel, "weight_grad_norm", "first", "theory")
    last = rows(table, run, "weight_grad_norm", "start")["median"].iloc[-1]
    np.testing.assert_allclose(values, [share * last for share in run["theory"]], rtol=0.15)


def test_a_slider_is_shown_when_it_is_moved_and_not_when_the_keyboard_passes_it(visit, page_file):
    page = visit(page_file)
    panel = page.locator("#explorer")
    panel.get_by_label("Scale of the skip connection").press("End")
    legend = panel.locator(".legend .run").first
    expect(legend).to_have_text("skip 1, 5 blocks")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(panel.get_by_label("Depth, plain beside residual")).to_be_focused()
    expect(legend).to_have_text("skip 1, 5 blocks")
    page.keyboard.press("Home")
    expect(legend).to_have_text("plain, 2 blocks")


def test_one_slider_plays_at_a_time_from_its_first_frame(visit, page_file):
    panel = visit(page_file).locator("#explorer")
    skip, depth = (
        panel.get_by_label(name) for name in ("Scale of the skip connection", "Depth, plain beside residual")
    )
    buttons = panel.locator(".play")
    skip.press("End")
    buttons.first.click()
    expect(skip).to_have_value("0")
    expect(buttons.first).to_have_text("Stop")
    buttons.last.click()
    expect(buttons.first).to_have_text("Play")
    expect(panel.locator(".legend .run").first).to_have_text("plain, 2 blocks")
    expect(buttons.last).to_have_text("Play", timeout=5000)
    expect(depth).to_have_value(str(len(DEPTHS) - 1))


def test_values_stay_when_a_finger_is_lifted(visit, page_file):
    chart = visit(page_file).locator("#explorer [data-quantity=stream]")
    for name in ("pointerdown", "pointerleave"):
        chart.locator(".frame").dispatch_event(name, {"clientX": 200, "pointerType": "touch", "bubbles": True})
    expect(chart.locator(".tip")).to_be_visible()
    chart.locator(".frame").dispatch_event("pointerleave", {"pointerType": "mouse"})
    expect(chart.locator(".tip")).to_be_hidden()


def test_an_explorer_that_cannot_be_read_says_so_and_leaves_the_other_charts(browser, page_file, tmp_path):
    text = page_file.read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    broken.write_text(re.sub(r'(id="trainings">)[^<]*', r"\1AAAA", text), encoding="utf-8")
    page = browser.new_page()
    page.goto(broken.as_uri())
    expect(page.locator("#explorer p").first).to_contain_text("The explorer cannot be shown: ")
    for chart in ("#gradients", "[data-chart=loss]"):  # the first and a later one
        expect(page.locator(f"{chart} :is(svg, canvas)").first).to_be_visible(timeout=20_000)
    page.close()
