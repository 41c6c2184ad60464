"""The page in a real browser: what moves, what filters, what keys do, and that it asks for nothing."""

import json
import re

import pandas as pd
import pytest
from playwright.sync_api import expect

from tests.lenses import LAYERS, SEQUENCE, TOLD

LINES = ".mark-line path"


def paths(page, chart):
    """What the lines of a chart look like."""
    return page.locator(f"{chart} {LINES}").evaluate_all("lines => lines.map(line => line.getAttribute('d'))")


def evolution(key):
    return f"[data-evolution={key}]"


@pytest.mark.parametrize("key", ["gradients", "steps"])
def test_the_slider_moves_the_curves_and_says_where_it_is(visit, page_file, key):
    page = visit(page_file)
    root = page.locator(evolution(key))
    slider = root.get_by_role("slider")
    curves = f"{evolution(key)} .curves"
    last = paths(page, curves)
    assert any(last)
    assert slider.input_value() == slider.get_attribute("max")

    slider.focus()
    page.keyboard.press("Home")
    expect(root.locator(".now")).to_have_text(slider.get_attribute("aria-valuetext"))
    first = paths(page, curves)
    assert first != last
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "1"
    page.keyboard.press("End")
    assert paths(page, curves) == last


def test_another_quantity_draws_other_curves_and_heatmaps_at_the_same_epoch(visit, page_file):
    page = visit(page_file)
    root = page.locator(evolution("gradients"))
    root.get_by_role("slider").press("ArrowLeft")
    expect(root.locator(".now")).to_have_text("1")
    curves = paths(page, f"{evolution('gradients')} .curves")
    cells = root.locator(".heatmap .mark-rect path")
    assert cells.count() == 2 * 2 * 5  # variants, epochs, stem + 3 blocks + head

    root.get_by_role("combobox").select_option(index=1)
    expect(cells).to_have_count(2 * 3 * 3)  # the probe has epoch 0 too, and blocks alone
    expect(root.locator(".now")).to_have_text("1")
    assert paths(page, f"{evolution('gradients')} .curves") != curves


def test_play_goes_through_the_epochs_and_stops_at_the_last(visit, page_file):
    page = visit(page_file)
    root = page.locator(evolution("steps"))
    now = root.locator(".now")
    now.evaluate(  # the page keeps what it says: by the next look at it a busy machine may be further
        "now => new MutationObserver(() => { now.dataset.said = (now.dataset.said || '') + now.textContent + ' ' })"
        ".observe(now, {childList: true, characterData: true, subtree: true})"
    )
    root.get_by_role("button").press("Enter")
    expect(now).to_have_attribute("data-said", "2 4 6 ")
    expect(root.get_by_role("button")).to_have_text("Play")


def test_moving_the_share_shows_what_is_left_and_which_inputs_are_hard(visit, page_file):
    page = visit(page_file)
    root = page.locator("[data-routing]")
    slider, numbers = root.get_by_role("slider"), root.locator(".numbers")
    colours = "points => points.map(point => point.getAttribute('fill'))"
    points = root.locator(".plane .mark-symbol").first.locator("path")

    expect(root.locator(".policy option:checked")).to_have_text("learned from the stream")
    expect(root.locator(".now")).to_have_text("50 %")
    expect(numbers).to_contain_text("Blocks run50 %Multiply-adds60 %Accuracy83 %Agreement with the whole network87.5 %")
    expect(points).to_have_count(5)
    expect(root.locator(".plane .mark-symbol").nth(1).locator("path")).to_have_count(1)  # the one that is wrong
    half = points.evaluate_all(colours)
    assert len(set(half)) == 5

    slider.press("ArrowLeft")
    expect(root.locator(".now")).to_have_text("25 %")
    expect(numbers).to_contain_text("Accuracy76.7 %")
    assert points.evaluate_all(colours) != half


def test_another_policy_or_network_keeps_the_share_and_policy(visit, page_file):
    page = visit(page_file)
    root = page.locator("[data-routing]")
    slider = root.get_by_role("slider")
    slider.press("Home")
    root.locator(".policy").select_option(label="random")
    expect(root.locator(".now")).to_have_text("25 %")
    assert slider.get_attribute("max") == "2", "only random is measured at a share of 1"
    root.locator(".network").select_option(label="spirals")
    expect(root.locator(".policy option:checked")).to_have_text("random")
    expect(root.locator(".now")).to_have_text("25 %")


@pytest.mark.parametrize("network", ["pre", "no_skip"])
@pytest.mark.parametrize("lens", ["logit", "tuned"])
def test_each_layer_shows_what_the_lens_reads_there_in_the_tables(visit, page_file, results, network, lens):
    page = visit(page_file)
    root = page.locator("[data-lenses]")
    root.locator(".network").select_option(index=["pre", "no_skip"].index(network))  # post has not learnt
    root.locator(".lens").select_option(lens)
    slider = root.get_by_role("slider")
    assert slider.get_attribute("max") == str(LAYERS[network])
    reports = results.root / "studies/streams/reports"
    tables = (pd.read_csv(reports / f"{of}.csv") for of in ("tokens", "reading"))
    tokens, reading = (table[table["variant"] == network] for table in tables)
    slider.press("Home")
    for layer in range(LAYERS[network] + 1):
        rows = tokens[tokens["layer"] == layer]
        right = rows[lens] == rows["next"]
        assert texts(root, ".stands") == ["ABCD"[token] for token in SEQUENCE[:-1]]
        assert texts(root, ".read") == ["ABCD"[token] for token in rows[lens]]
        assert texts(root, ".sure") == [f"{100 * share:.0f} %" for share in rows[f"{lens}_probability"]]
        kinds = [("wrong", "right")[each] if told else "untold" for each, told in zip(right, rows["told"], strict=True)]
        assert root.locator(".cells li").evaluate_all("all => all.map(e => e.dataset.kind)") == kinds
        said = root.locator(".said")
        expect(said).to_contain_text(f"{lens} lens gets {kinds.count('right')} of the {6 - TOLD} tokens right")
        kl = reading[reading["layer"] == layer][lens]
        mean, least, most = kl.mean(), kl.min(), kl.max()
        assert numbers(said.locator(".missed")) == pytest.approx(
            [mean, least, most] if layer < LAYERS[network] else [0], rel=6e-3
        )
        slider.press("ArrowRight")
    assert slider.input_value() == str(LAYERS[network]), "the last layer is the last"


def texts(root, name):
    return root.locator(f".cells {name}").all_text_contents()


def numbers(element):
    return [float(number) for number in re.findall(r"[\d.]+(?:e-?\d+)?", element.text_content())]


def test_the_layer_has_a_name_and_another_network_or_lens_stays_at_its_depth(visit, page_file):
    page = visit(page_file)
    root = page.locator("[data-lenses]")
    slider = page.get_by_label("Sublayer")
    options = root.locator(".network option").all_text_contents()
    assert options == ["pre: skip, 2 layers, pre-norm", "no_skip: no skip, 1 layer, pre-norm"]
    expect(root.locator(".now")).to_have_text("4 of 4: feedforward, layer 2")
    for _ in range(2):
        slider.press("ArrowLeft")
    expect(root.locator(".now")).to_have_text("2 of 4: feedforward, layer 1")
    root.locator(".lens").select_option("tuned")
    expect(root.locator(".now")).to_have_text("2 of 4: feedforward, layer 1")
    root.locator(".network").select_option(index=1)
    expect(root.locator(".now")).to_have_text("1 of 2: attention, layer 1")
    assert slider.get_attribute("aria-valuetext") == "1 of 2: attention, layer 1"
    slider.press("Home")
    expect(root.locator(".said")).to_contain_text("Behind sublayer 0 (embedding) the tuned lens")


def test_a_right_token_is_told_from_a_wrong_one_without_colour(visit, page_file):
    root = visit(page_file).locator("[data-lenses]")
    root.get_by_role("slider").press("Home")
    for kind, mark, frame in (("right", "✓", "solid"), ("wrong", "✗", "dashed"), ("untold", "none", "solid")):
        cell = root.locator(f".cells [data-kind={kind}]").first
        seen = cell.locator(".kind").evaluate("e => getComputedStyle(e, '::after').content")
        assert (seen.strip('"'), cell.evaluate("e => getComputedStyle(e).borderTopStyle")) == (mark, frame)


def test_without_scripts_the_last_layer_stands_there(browser, page_file):
    page = browser.new_page(java_script_enabled=False)
    page.goto(page_file.as_uri())
    root = page.locator("[data-lenses]")
    expect(root.locator(".controls")).to_be_hidden()
    assert texts(root, ".read") == ["ABCD"[token] for token in SEQUENCE[1:]]
    expect(root.locator(".said")).to_contain_text(
        "Behind sublayer 4 (feedforward, layer 2) the logit lens gets 3 of the 3"
    )
    expect(root.locator(".cells").first.locator("li")).to_have_count(TOLD)
    page.close()


def test_filters_and_search_choose_claims_and_say_how_many(visit, page_file):
    page = visit(page_file)
    rows = page.locator(".claims tbody tr:visible")
    status = page.locator("#shown")
    chapters = page.locator(".chapter:visible summary")
    expect(status).to_have_text("7 of 7 claims")
    assert [" ".join(text.split()) for text in chapters.all_inner_texts()] == [
        "The recipe holds 2, holds only for 1, does not hold 1",
        "The distant identity holds 1, holds only for 1, does not hold 1",
    ]
    expect(rows).to_have_count(0)  # until a chapter is opened or something is chosen
    chapters.first.click()
    expect(rows).to_have_count(4)
    page.get_by_label("Verdict", exact=True).select_option("holds")
    expect(rows).to_have_count(3)
    expect(status).to_have_text("3 of 7 claims")
    page.get_by_label("Source", exact=True).select_option("build recipe")
    expect(rows).to_have_count(2)
    page.get_by_label("Search").press_sequentially("About CLAIM-6")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Claim number 6")
    expect(chapters).to_have_count(1)  # a chapter without such claims is gone
    page.get_by_label("Study", exact=True).select_option("identity")
    expect(status).to_have_text("0 of 7 claims")
    page.get_by_label("Search").press("Enter")  # must not load the page anew
    expect(status).to_have_text("0 of 7 claims")
    expect(chapters).to_have_count(0)
    page.get_by_label("Study", exact=True).select_option("")
    page.get_by_label("Source", exact=True).select_option("")
    page.get_by_label("Verdict", exact=True).select_option("")
    page.get_by_label("Search").fill("")
    expect(chapters).to_have_count(2)
    expect(rows).to_have_count(0)


def test_all_controls_are_reached_with_the_tab_key_and_have_names(visit, page_file):
    page = visit(page_file)
    controls = page.locator("a, button, input, select, summary, [tabindex='0']").locator("visible=true")
    page.locator("body").press("Tab")
    reached = 1
    while page.evaluate("document.activeElement !== document.body") and reached < 200:
        page.keyboard.press("Tab")
        reached += 1
    assert reached == controls.count() + 1
    unnamed = (
        "e => e.matches('a, button, summary') ? !e.textContent.trim() :"
        " e.matches('div') ? !e.ariaLabel : !(e.labels.length && e.labels[0].textContent.trim())"
    )
    assert not controls.evaluate_all(f"all => all.filter({unnamed}).map(e => e.outerHTML)")


def test_dark_and_light_follow_the_system_until_the_button_says_otherwise(visit, page_file):
    page = visit(page_file, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    label = "getComputedStyle(document.querySelector('.curves .role-axis-label text')).fill"
    dark, dark_label = page.evaluate(background), page.evaluate(label)
    page.get_by_role("button", name="Dark").press("Space")
    light, light_label = page.evaluate(background), page.evaluate(label)
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 23, 26)")
    assert light_label != dark_label
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(visit, page_file, width, scheme, tmp_path):
    page = visit(page_file, viewport={"width": width, "height": 844}, color_scheme=scheme)
    folded = page.locator("section > details:not([open]) > summary")
    if width == 390:
        assert folded.count() == 8
        assert page.evaluate("document.documentElement.scrollHeight") <= 12 * 844
    for place in reversed(range(folded.count())):  # opened, they are none of these any more
        folded.nth(place).press("Enter")
    expect(page.locator(".chart svg")).to_have_count(page.locator(".chart").count())
    page.screenshot(path=tmp_path / "seen.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    edges = page.locator(".chart svg, .frame svg").evaluate_all("all => all.map(e => e.getBoundingClientRect().right)")
    assert max(edges) <= width


def test_the_policy_of_the_page_lets_nothing_out_and_no_further_script_run(visit, page_file, tmp_path):
    text = page_file.read_text(encoding="utf-8")
    grown = tmp_path / "grown.html"
    grown.write_text(text.replace("</main>", "<script>window.ran = 1</script></main>"), encoding="utf-8")
    assert grown.read_text(encoding="utf-8") != text
    page = visit(page_file)
    assert "default-src 'none'" in page.locator("meta[http-equiv]").get_attribute("content")
    blocked = page.context.browser.new_page()
    blocked.goto(grown.as_uri())
    blocked.wait_for_selector("html[data-ready]", state="attached")
    assert blocked.evaluate("window.ran") is None
    blocked.close()


HOSTILE = "</script><img src=x onerror=alert(1)>'\"`${1}{{ 7 * 7 }}"


def test_hostile_names_and_claims_are_only_text(visit, inputs, tmp_path, hostile_page):
    page = visit(hostile_page(HOSTILE))
    expect(page.locator(".card h3").first).to_have_text(HOSTILE)
    expect(page.locator("figcaption").filter(has_text="onerror").first).to_have_text(HOSTILE)
    assert page.locator("img").count() == 1, "the picture of a study alone"
    page.locator(f"{evolution('gradients')} .curves .mark-symbol path").first.hover()
    expect(page.locator("#vg-tooltip-element")).to_contain_text("onerror")
    assert page.locator("img").count() == 1
    page.get_by_label("Source", exact=True).select_option(HOSTILE)
    expect(page.locator("#shown")).to_have_text("1 of 1 claims")
    assert json.loads(page.locator("#data").text_content())["evolutions"]["gradients"]["variants"][0] == HOSTILE
