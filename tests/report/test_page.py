"""The page as it is made: what it says follows from the run, and what is missing is named."""

import base64
import html
import json
import re
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from gradflow.drawing.experiment import Experiment
from gradflow.report import charts, claims, evolution, headline, words
from studies.identity import published


def experiment(*variants, depth=3, seeds=2, epochs=4, diverged=None):
    lost = diverged or {}
    return Experiment(
        dict.fromkeys(variants, depth), seeds, epochs, {name: lost.get(name, {}) for name in variants}, caption=""
    )


def test_the_same_results_make_the_same_bytes(make, inputs, page_file):
    assert make(inputs).read_bytes() == page_file.read_bytes()


def test_the_page_is_one_file_of_at_most_6_mb_that_names_no_other(page_file):
    text = page_file.read_text(encoding="utf-8")
    assert len(text.encode()) < 6e6
    shown = text.split('id="data"')[0]
    assert re.findall(r'<img src="(.{22})', shown) == ["data:image/png;base64,"], "a picture is in the page itself"
    shown = re.sub(r'<img src="data:[^"]*"', "", shown)
    for asking in ("<link", "<img", "<iframe", "@import", "url(", ' src="'):
        assert asking not in shown


def test_the_page_names_commands_and_files_that_are_there(page_file, results):
    made = re.findall(r'<p class="made">(.*?)</p>', page_file.read_text(encoding="utf-8"), re.DOTALL)
    words = {html.unescape(word) for line in made for word in re.findall("<code>(.*?)</code>", line)}
    commands = {word for word in words if "dvc repro" in word}

    assert commands and all((results.root / file).is_file() for file in words - commands), words
    for command in commands:
        results.run("sh", "-c", command.replace("dvc repro", "dvc stage list"))


def test_figures_of_further_studies_are_in_the_page(make, inputs):
    page = make(inputs).read_text(encoding="utf-8")
    [shown] = re.findall(r'<img src="data:image/png;base64,([^"]*)"', page)
    with (
        Image.open(inputs.root / "studies/identity/reports/figures/loss.png") as drawn,
        Image.open(BytesIO(base64.b64decode(shown))) as seen,
    ):
        assert seen.size == drawn.size and seen.mode == "P"
        apart = np.abs(np.asarray(drawn.convert("RGB"), dtype=int) - np.asarray(seen.convert("RGB")))
    assert apart.mean() < 0.5 and np.quantile(apart, 0.999) < 25, "the same picture in fewer colours"
    assert "Train loss &lt;of all&gt; variants" in page and "<of all>" not in page


@pytest.mark.parametrize("left", [0, 200])
def test_a_figure_that_is_cut_off_is_one_line(make, inputs, left):
    figure = inputs.root / "studies/identity/reports/figures/loss.png"
    figure.write_bytes(figure.read_bytes()[:left])
    line = "gradflow: studies/identity: figure 'Train loss <of all> variants': cannot be read; "
    said = make(inputs, code=1)
    assert said == f"{line}run `dvc repro identity/dvc.yaml` in studies/\n"


@pytest.mark.parametrize(
    "missing",
    [
        *(f"studies/identity/reports/{name}" for name in ("history.csv", "probe.csv", "metrics.json")),
        *(f"studies/streams/reports/{name}" for name in ("tokens.csv", "reading.csv", "metrics.json")),
        "reports/explorer.csv",
        "reports/claims.json",
        "studies/identity/reports/figures/loss.png",
    ],
)
def test_a_missing_study_is_named_with_what_makes_it(make, inputs, missing):
    (inputs.root / missing).unlink()
    said = make(inputs, code=1)
    assert said.startswith("gradflow: ") and said.count("\n") == 1
    assert missing in said and "make studies" in said


def test_where_no_network_has_learnt_the_page_says_so(make, inputs):
    path = inputs.root / "studies/streams/reports/metrics.json"
    numbers = json.loads(path.read_text(encoding="utf-8"))
    for number in numbers.values():
        number["accuracy"]["mean"] = 0.89
    path.write_text(json.dumps(numbers), encoding="utf-8")
    text = make(inputs).read_text(encoding="utf-8")
    assert "so there is nothing to read" in text and 'id="lenses-layer"' not in text


def test_cells_stay_blank_where_logits_are_not_finite(make, inputs):
    folder = inputs.root / "studies/streams/reports"
    tables = {name: pd.read_csv(folder / f"{name}.csv") for name in ("tokens", "reading")}
    tables["tokens"].loc[tables["tokens"]["variant"] == "pre", "logit_probability"] = None
    tables["reading"].loc[tables["reading"]["variant"] == "pre", "logit"] = None
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    text = make(inputs).read_text(encoding="utf-8")
    assert '<span class="read"></span><span class="kind"></span></span><span class="sure"></span>' in text
    assert '<strong class="right">0</strong>' in text and '<strong class="missed">-</strong>' in text


OWN = "plain with momentum 0.375"


def test_what_the_page_says_follows_the_run(make, inputs):
    metrics = inputs.root / "reports/metrics.json"
    numbers = json.loads(metrics.read_text(encoding="utf-8"))
    numbers["residual"] |= {
        "val_accuracy": {"mean": 0.125, "std": 0.1, "min": 0.1, "max": 0.15, "seeds": 1},
        "grad_first_over_last": 3.25e-9,
        "vanished_layers": 1.5,
        "diverged": [{"seed": 1, "epoch": 2, "step": 0}],
    }
    metrics.write_text(json.dumps(numbers), encoding="utf-8")
    settings = inputs.root / "params.yaml"
    params = yaml.safe_load(settings.read_text(encoding="utf-8"))
    params["train"]["lr"] = 0.0625
    params["variants"]["plain"]["train"] = {"momentum": 0.375}
    settings.write_text(yaml.safe_dump(params), encoding="utf-8")
    text = make(inputs).read_text(encoding="utf-8")
    for said in ("0.125 (0.100 to 0.150)", "3.25e-9", "1.5 of 3", "1 of 2 seeds diverged, epoch 2", "rate 0.0625", OWN):
        assert said in text


def test_a_run_of_which_no_seed_is_left_is_still_a_page(make, inputs):
    reports = inputs.root / "reports"
    metrics = json.loads((reports / "metrics.json").read_text(encoding="utf-8"))
    nothing = dict.fromkeys(("mean", "std", "min", "max")) | {"seeds": 0}
    for name, found in metrics.items():
        found |= {"val_accuracy": nothing, "grad_first_over_last": None, "vanished_layers": None}
        found["diverged"] = [{"seed": seed, "epoch": 1, "step": 0} for seed in (0, 1)]
        metrics[name] = found
    (reports / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    for name, least in (("history", 9), ("gradient_norms", 2), ("probe", 1)):
        table = pd.read_csv(reports / f"{name}.csv")
        table[table["epoch"] < least if name != "history" else table["epoch"] > least].to_csv(
            reports / f"{name}.csv", index=False
        )
    text = make(inputs).read_text(encoding="utf-8")
    assert text.count("No seed finished the training: 2 of 2 seeds diverged, epoch 1.") == 2


def test_a_headline_says_only_what_was_measured():
    measured = {
        "val_accuracy": {"mean": 0.5, "min": 0.5, "max": 0.5},
        "grad_first_over_last": 7.239e-7,
        "vanished_layers": 2.0,
        "diverged": [],
    }
    (found,) = headline.headlines({"plain": measured}, experiment("plain"), 1e-6)
    assert found.sentence == (
        "Accuracy 0.500 on rows never trained on, the mean of 2 seeds. In the last epoch the gradient norm of block 1"
        " is 7.24e-7 times that of block 3. There, 2 of 3 blocks have a norm below 1e-6, the mean of 2 seeds."
    )


def test_medians_and_ranges_are_those_of_the_seeds_and_zero_stays_zero():
    values = {("a", 1, 1): [0.0, 0.0, 2.0], ("a", 1, 2): [1.0, 3.0, 2.0], ("a", 4, 1): [5.0, 5.0, 8.0]}
    rows = [(v, s, at, layer, x) for (v, at, layer), xs in values.items() for s, x in enumerate(xs)]
    table = pd.DataFrame(rows, columns=["variant", "seed", "epoch", "layer", "q"])
    found = evolution.over_seeds(table, "epoch", "q", experiment("a", "b", seeds=3))
    assert (found.times, found.layers) == ([1, 4], [1, 2])
    np.testing.assert_array_equal(found.median[0], [[0, 2], [5, np.nan]])
    np.testing.assert_array_equal(found.low[0], [[0, 1], [5, np.nan]])
    np.testing.assert_array_equal(found.high[0], [[2, 3], [8, np.nan]])
    assert np.isnan(found.median[1]).all()
    assert found.payload()["median"][0] == [[0, 2], [5, None]]


def test_a_seed_that_diverges_does_not_flatten_the_axis():
    rows = [("a", seed, 1, 1, value) for seed, value in enumerate((1.0, 2.0, 1e30))]
    table = pd.DataFrame(rows, columns=["variant", "seed", "epoch", "layer", "q"])
    lost = experiment("a", seeds=3, diverged={"a": {2: 1}})
    assert evolution.over_seeds(table, "epoch", "q", lost).limits == (2.0, 2.0)
    assert evolution.over_seeds(table, "epoch", "q", experiment("a", seeds=3)).limits[1] == 1e30
    beside = pd.concat([table[table["seed"] < 2], table.assign(variant="b", q=1e20)])
    lost = experiment("a", "b", seeds=3, diverged={"a": {}, "b": {0: 1, 1: 1, 2: 1}})
    assert evolution.over_seeds(beside, "epoch", "q", lost).limits[1] == 2.0


def test_many_epochs_and_layers_are_thinned_with_both_ends_kept():
    variants, epochs, layers = [f"v{n}" for n in range(10)], range(1, 301), range(102)
    index = pd.MultiIndex.from_product([variants, [0], epochs, layers], names=["variant", "seed", "epoch", "layer"])
    table = pd.DataFrame({"q": 1.0}, index=index).reset_index()
    found = evolution.over_seeds(table, "epoch", "q", experiment(*variants, depth=100, seeds=1))
    assert (found.times[0], found.times[-1], found.layers[0], found.layers[-1]) == (1, 300, 0, 101)
    assert found.median.size <= 15_000 and found.left_out == 300 - len(found.times)
    assert len(json.dumps(found.payload())) < 5e5


@pytest.mark.parametrize(("low", "high"), [(1e-19, 1.1), (0.06, 15), (2e-9, 3e-9), (1e-300, 1e30)])
def test_a_logarithmic_axis_holds_its_limits_and_a_few_ticks(low, high):
    floor, top = charts.floor_and_top((low, high))
    ticks = charts.log_ticks(floor, top)
    assert floor < low <= high < top
    assert all(floor <= tick <= top for tick in ticks) and 1 <= len(ticks) <= 10
    assert floor < charts.zero_mark((low, high)) < top


def spread(mean):
    return {"mean": mean, "std": 0.0, "min": mean / 2, "max": mean * 2, "seeds": 2}


def test_the_published_table_stands_beside_what_was_measured():
    metrics = {
        "plain": {
            "loss_start": spread(0.4),
            "loss_end": spread(0.3),
            "delta_norm_end": [spread(1e-20), spread(2e-3)],
            "weight_grad_norm_end": [spread(1e-14), spread(3e-14)],
        },
        "other": {"loss_start": spread(1.0), "loss_end": spread(1.0)},
    }
    rows = {(row.variant, row.what): (row.published, row.measured) for row in published.compared(metrics, 2)}
    assert rows["plain", "loss at the start"] == ("0.333", "0.400 (0.200 to 0.800)")
    assert rows["plain", "gradient ‖δ‖, layer 1"] == ("8.6e-19", "1.00e-20 (5.00e-21 to 2.00e-20)")
    assert rows["plain", "gradient ‖δ‖, layer 2"][1].startswith("0.00200")
    assert {variant for variant, _ in rows} == {"plain"}
    assert "between 1.00e-20" in published.widest(metrics) and "1.00e-14" in published.widest(metrics)


@pytest.mark.parametrize(
    ("figure", "linked"),
    [
        ("figures/x.png", True),
        ("../studies/recipe/reports/figures/x.png", True),
        ("javascript:alert(1)", False),
        ("//host/x.png", False),
        ("/etc/x.png", False),
        ("../x.png", False),
        ("../studies/../../x.png", False),
        ("../studies/recipe/reports/../../../x.png", False),
        ("http://host/x.png", False),
        ("figures/x.png?y", False),
    ],
)
def test_only_a_picture_in_the_reports_of_the_root_or_of_a_study_becomes_a_link(figure, linked, claim):
    (row,) = claims.claims([claim(1, figure=figure)])
    assert row.figure == figure * linked


def test_a_claim_shows_its_numbers_over_seeds_and_layers(claim):
    one, many = claims.claims([claim(0), claim(1)])
    assert one.measured == ["layer 1: 2.00e-7 (1.00e-7 to 3.00e-7), 8 seeds"]
    assert many.measured == ["layer 1 to layer 3: 1.00e-7 to 3.00e-7, 8 seeds"]
    assert claims.counts([one, many]) == {"holds": 1, "does not hold": 1}
    spans = claims.claims([claim(1) | {"over": "span"}])[0].measured
    assert spans == ["layer 1 to layer 3: 2.00e-7, a factor of 1.00, 8 seeds"]
    short = claim(0)
    short["measured"] = [number | {"seeds": 7} for number in short["measured"]]
    assert claims.claims([short])[0].measured == ["layer 1: 2.00e-7 (1.00e-7 to 3.00e-7), 7 of 8 seeds"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.97, "0.970"),
        (7.239e-7, "7.24e-7"),
        (0, "0"),
        (13.826, "13.8"),
        (1421.4, "1,421"),
        (2e6, "2.00e6"),
        (None, "-"),
    ],
)
def test_numbers_in_words(value, text):
    assert words.number(value) == text
