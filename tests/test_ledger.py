"""The ledger: each verdict out of numbers alone, in both directions, and one line for what is missing."""

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gradflow.guards.errors import RunError
from gradflow.ledger import claims, measured, results
from gradflow.ledger.claims import Rule
from gradflow.ledger.measured import Measured
from gradflow.ledger.verdict import judge
from gradflow.report import claims as rows
from studies.ledger.claims import main

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
LEDGER = claims.load(ROOT / "studies" / "ledger" / "claims.yaml")
CLAIMS = {key: claim for chapter in LEDGER.chapters.values() for key, claim in chapter.claims.items()}
FOUND = {result["id"]: result for result in results.evaluate(LEDGER, ROOT)}
STUDIES = sorted({claim.measure.study for claim in CLAIMS.values()})
each_claim = pytest.mark.parametrize("key", CLAIMS)


@pytest.fixture(scope="session")
def metrics():
    return {study: json.loads(metrics_of(study, ROOT).read_text(encoding="utf-8")) for study in STUDIES}


@pytest.fixture
def elsewhere(tmp_path, metrics):
    """Evaluate one claim on changed metrics: (its id, a function that changes the document)."""

    def evaluate(key, change):
        claim = CLAIMS[key]
        document = copy.deepcopy(metrics[claim.measure.study])
        change(document)
        file = metrics_of(claim.measure.study, tmp_path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document), encoding="utf-8")
        return judge(measured.read(claim, tmp_path), claim.test)

    return evaluate


def metrics_of(study, root):
    return measured.folder_of(study, root) / "reports" / "metrics.json"


def places(document, path):
    """(container, key) of all numbers that a path leads to."""
    found = [(document, None)]
    for key in path.split("."):
        found = [inner for container, at in found for inner in step(container if at is None else container[at], key)]
    return [
        inner for container, at in found for inner in ([*enumerate_list(container[at])] or [(container, at)])
    ]  # a list at the end means all of it


def enumerate_list(value):
    return ((value, i) for i in range(len(value))) if isinstance(value, list) else ()


def step(value, key):
    if isinstance(value, dict):
        return [(value, key)]
    if key == "last":
        return [(value, len(value) - 1)]
    if match := re.fullmatch(r"(\d+)(?:-(\d+))?", key):
        return [(value, i) for i in range(int(match[1]) - 1, int(match[2] or match[1]))]
    return [(item, key) for item in value]


def write(document, path, value):
    """Write a number where a path leads to, for all seeds."""
    above, _, below = path.partition(" / ")
    if below:
        ((container, key),) = places(document, below)
        value *= container[key]["mean"] if isinstance(container[key], dict) else container[key]
    for container, key in places(document, above):
        old = container[key]
        new = (
            dict.fromkeys(("mean", "min", "max"), value) | {"std": 0.0, "seeds": 8} if isinstance(old, dict) else value
        )
        container[key] = new


def numbers(test, predicted):
    """A number that passes a test and one that does not."""
    if test.within:
        return sum(test.within) / 2, test.within[1] + 1
    if test.at_most is not None:
        return test.at_most - abs(test.at_most) / 2, test.at_most + abs(test.at_most) + 1
    if test.at_least is not None:
        return test.at_least + 1, test.at_least - 1
    if test.exactly is not None:
        return test.exactly, test.exactly + 1
    target = predicted if test.near.to is None else test.near.to
    return target, target * (1 + 2 * test.near.relative)


def fill(key, passing):
    """A change that makes all numbers of a claim pass or fail."""
    claim = CLAIMS[key]

    def change(document):
        for name, path in claim.measure.paths().items():
            own = [number for number in FOUND[key]["measured"] if number["name"] == name]
            if claim.test.over == "span":
                write(document, path, 1.0)
                if not passing:
                    container, at = places(document, path)[0]
                    container[at]["mean"] = 1e9
            else:
                write(document, path, numbers(claim.test, own[0]["predicted"])[0 if passing else 1])

    return change


@each_claim
def test_a_verdict_turns_with_the_numbers(key, elsewhere):
    assert str(elsewhere(key, fill(key, passing=True))) == "holds"
    assert str(elsewhere(key, fill(key, passing=False))) == "does not hold"


@each_claim
def test_a_verdict_follows_from_the_unchanged_numbers(key, elsewhere):
    assert str(elsewhere(key, lambda document: None)) == FOUND[key]["verdict"]


@each_claim
def test_a_missing_number_is_an_error_that_names_file_and_key(key, elsewhere):
    path = next(iter(CLAIMS[key].measure.paths().values())).split(" / ")[0]

    def remove(document):
        del document[path.split(".")[0]]

    with pytest.raises(RunError, match=r"metrics\.json: .*is missing, there is no") as error:
        elsewhere(key, remove)
    assert path in error.value.message


@each_claim
def test_the_figure_of_a_claim_is_there(key):
    figure = CLAIMS[key].figure
    assert figure is None or (ROOT / figure).is_file()


@each_claim
def test_both_pages_link_to_the_figure_from_where_they_lie(key):
    figure = CLAIMS[key].figure
    link = FOUND[key]["figure"]
    (row,) = rows.claims([FOUND[key]])
    assert row.figure == (link or "")
    assert figure is None or (REPORTS / link).resolve() == ROOT / figure


def test_each_study_with_figures_shows_one_for_each_of_its_claims():
    for key, claim in CLAIMS.items():
        folder = measured.folder_of(claim.measure.study, ROOT) / "reports" / "figures"
        assert claim.figure or not folder.exists(), key


def test_results_in_git_are_those_of_the_ledger_and_the_metrics_in_git():
    assert json.loads((REPORTS / "claims.json").read_text(encoding="utf-8")) == list(FOUND.values())
    assert (REPORTS / "claims.md").read_text(encoding="utf-8") == results.markdown(list(FOUND.values()))


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        ("one-over-sqrt-two-controls", "does not hold"),
        ("residual-trains-as-written", "does not hold"),
        ("plus-one-keeps-each-term", "holds only for before training"),
        ("multiplier-one-carries-over", "does not hold"),
        ("multiplier-one-adds-seamlessly", "does not hold"),
        ("shallow-plain-trains", "holds only for depth 2, depth 4, depth 6, depth 8"),
    ],
)
def test_wrong_statements_of_the_sources_are_found_out(key, verdict):
    assert FOUND[key]["verdict"] == verdict


def number(mean, name="", entry="", low=None, high=None, seeds=8, predicted=None):
    return Measured(
        name, entry, mean, 0.0, mean if low is None else low, mean if high is None else high, seeds, predicted
    )


@pytest.mark.parametrize(
    ("rule", "low", "mean", "high", "holds"),
    [
        (Rule(within=[1, 2]), 1, 1.5, 2, True),
        (Rule(within=[1, 2]), 0.9, 1.5, 2, False),
        (Rule(within=[1, 2], over="mean"), 0.9, 1.5, 2.1, True),
        (Rule(at_most=2), 1, 1.5, 2, True),
        (Rule(at_most=2), 1, 1.5, 2.1, False),
        (Rule(at_least=1), 1, 1.5, 2, True),
        (Rule(at_least=1), 0.9, 1.5, 2, False),
        (Rule(exactly=0), 0, 0, 0, True),
        (Rule(exactly=0), 0, 0.1, 0.8, False),
        (Rule(near=claims.Near(to=-10, relative=0.1)), -11, -10, -9, True),
        (Rule(near=claims.Near(to=-10, relative=0.1)), -11.1, -10, -9, False),
    ],
)
def test_a_rule_looks_at_the_mean_or_at_each_seed(rule, low, mean, high, holds):
    assert judge([number(mean, low=low, high=high)], rule).holds == (holds,)


def test_what_holds_only_in_part_names_the_parts():
    layers = [number(value, entry=f"layer {i}") for i, value in enumerate([0, 0, 0, 9, 0, 9, 0], start=1)]
    assert str(judge(layers, Rule(at_most=1))) == "holds only for layers 1-3, 5, 7"
    two = [number(0, "a", "layer 1"), number(0, "a", "layer 2"), number(0, "b", "layer 1"), number(9, "b", "layer 2")]
    assert str(judge(two, Rule(at_most=1))) == "holds only for a, b (layer 1)"
    assert str(judge(two, Rule(over="span", at_most=1e300))) == "does not hold"  # 0/0, 9/0


def test_a_span_is_the_largest_mean_over_the_smallest_of_each_metric():
    layers = [number(value, name) for name in "ab" for value in ((1, 4) if name == "a" else (1, 40))]
    assert str(judge(layers, Rule(over="span", at_most=10))) == "holds only for a"


def test_paths_lead_into_lists_by_number_range_and_last(tmp_path):
    spread = {"mean": 1.0, "std": 0.0, "min": 1.0, "max": 1.0, "seeds": 2}
    document = {"a": {"list": [spread | {"mean": float(i)} for i in range(1, 5)], "list_predicted": [1, 2, 3, 4]}}
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text(json.dumps(document))
    base = CLAIMS["default-run-plain"]

    def read(path, **test):
        measure = base.measure.model_copy(update={"metrics": path})
        rule = Rule(**(test or {"at_most": 1}))
        return measured.read(base.model_copy(update={"measure": measure, "test": rule}), tmp_path)

    assert [n.entry for n in read("a.list.2-3")] == ["layer 2", "layer 3"]
    assert [n.mean for n in read("a.list.last")] == [4]
    assert [n.mean for n in read("a.list.last / a.list.2")] == [2]
    near = read("a.list.3", near=claims.Near(relative=0.1))
    assert [(n.mean, n.predicted) for n in near] == [(3, 3)]
    assert [n.predicted for n in read("a.list", near=claims.Near(relative=0.1))] == [1, 2, 3, 4]
    for path in ("a.list.5", "a.list.0", "a.list.3-9"):
        with pytest.raises(RunError, match="has no such entry"):
            read(path)


def test_a_null_is_an_error_and_no_verdict(elsewhere):
    def empty(document):
        document["plain_as_written"]["val_accuracy"] = dict.fromkeys(("mean", "std", "min", "max")) | {"seeds": 0}

    with pytest.raises(RunError, match=r"plain_as_written\.val_accuracy: is null, no seed has such a number"):
        elsewhere("plain-learns-nothing", empty)


@pytest.fixture
def folder(tmp_path):
    """The ledger and what it needs, to be run as the stage does."""
    shutil.copy2(ROOT / "studies" / "ledger" / "claims.yaml", tmp_path)
    for study in STUDIES:
        for name in ("params.yaml", "reports/metrics.json"):
            copied(measured.folder_of(study, ROOT) / name, measured.folder_of(study, tmp_path) / name)
    for figure in {claim.figure for claim in CLAIMS.values()} - {None}:
        copied(ROOT / figure, tmp_path / figure)
    return tmp_path


def copied(file, to):
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, to)


def run(folder):
    before = sorted(folder.rglob("*"))
    names = ("claims.yaml", "", "reports/claims.json", "reports/claims.md")
    done = CliRunner().invoke(main, [str(folder / name) for name in names])
    if done.exit_code:
        assert sorted(folder.rglob("*")) == before
        assert done.stderr.startswith("gradflow: ") and done.stderr.count("\n") == 1
    return done.exit_code, done.stderr.replace(f"{folder}/", "").removeprefix("gradflow: ").rstrip("\n")


def test_the_stage_writes_what_is_in_git(folder):
    assert run(folder) == (0, "")
    for name in ("claims.json", "claims.md"):
        assert (folder / "reports" / name).read_bytes() == (REPORTS / name).read_bytes()


def test_a_missing_study_or_figure_is_one_line(folder):
    (folder / "studies/recipe/reports/metrics.json").unlink()
    code, line = run(folder)
    assert code == 1 and line.startswith("studies/recipe/reports/metrics.json: is missing; run `dvc repro`")
    assert line.endswith("(claim plain-learns-nothing)")
    (folder / "studies/recipe/reports/figures/loss_curves.png").unlink()
    code, line = run(folder)
    assert (code, line.split(":")[0]) == (1, "studies/recipe/reports/figures/loss_curves.png")


CLAIM = "chapters.recipe.claims.plain-learns-nothing"
TESTS = "within, at_most, at_least, exactly, near"


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("test", {"over": "mean"}, f"{CLAIM}.test: must have exactly one of {TESTS}, got none"),
        ("test", {"at_most": 1, "exactly": 1}, f"{CLAIM}.test: must have exactly one of {TESTS}, got at_most, exactly"),
        ("test", {"at_most": "low"}, f"{CLAIM}.test.at_most: must be a number, got 'low'"),
        ("test", {"atmost": 1}, f"{CLAIM}.test.atmost: unknown key; did you mean at_most? Known: over, {TESTS}"),
        ("claim", None, f"{CLAIM}.claim: must be text, got None"),
        ("test", {"within": [2, 1]}, f"{CLAIM}.test.within: must have the smaller number first, got [2.0, 1.0]"),
        (
            "test",
            {"over": "span", "near": {"relative": 0.1}},
            f"{CLAIM}.test.near: must have a number `to` for a span, got none",
        ),
        (
            "measure",
            {"study": "recipe", "metrics": "a.b / c.d", "definition": "-"},
            f"{CLAIM}.test.over: must be mean for a ratio, which is one of means, got 'each seed'",
        ),
        (
            "source",
            {"text": "hearsay"},
            f"{CLAIM}.source.text: must be one of {', '.join(LEDGER.sources)}, got 'hearsay'",
        ),
        (
            "source",
            {"text": "build recipe", "arxiv": ["1512"]},
            rf"{CLAIM}.source.arxiv.0: must match ^\d{{4}}\.\d{{4,5}}$, got '1512'",
        ),
    ],
)
def test_a_bad_entry_is_refused_with_one_line(folder, key, value, line):
    document = yaml.safe_load((folder / "claims.yaml").read_text(encoding="utf-8"))
    document["chapters"]["recipe"]["claims"]["plain-learns-nothing"][key] = value
    (folder / "claims.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    assert run(folder) == (2, f"claims.yaml: {line}")


def test_an_id_stands_in_one_chapter_only(folder):
    document = yaml.safe_load((folder / "claims.yaml").read_text(encoding="utf-8"))
    document["chapters"]["start"]["claims"]["telescoping"] = document["chapters"]["identity"]["claims"]["telescoping"]
    (folder / "claims.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    assert run(folder) == (2, "claims.yaml: chapters.identity.claims.telescoping: must not stand in two chapters")


def test_text_cannot_break_the_table():
    page = results.markdown([FOUND["telescoping"] | {"claim": "a | b\n<img>", "note": "<b>"}])
    (row,) = [line for line in page.splitlines() if "telescoping" in line and line.startswith("|")]
    assert row.startswith(r"| a \| b &lt;img>")
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert "&lt;b>" in page


def test_a_lost_seed_has_not_done_what_is_claimed_of_each(elsewhere):
    def lose(document):
        document["residual_clipped"]["val_accuracy"]["seeds"] -= 1

    assert str(elsewhere("clipping-is-enough", lambda _: None)) == "holds"
    assert str(elsewhere("clipping-is-enough", lose)) == "holds only for depth 40"


def test_what_is_said_follows_the_parameters(folder):
    file = folder / "studies/recipe/params.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("epochs: 100", "epochs: 7"), encoding="utf-8")
    assert run(folder) == (0, "")
    page = (folder / "reports/claims.md").read_text(encoding="utf-8")
    assert "validation accuracy after 7 epochs; study recipe" in page
    file.write_text(file.read_text(encoding="utf-8").replace("epochs: 7", "epoch: 7"), encoding="utf-8")
    assert results_only(folder) == (1, "studies/recipe/params.yaml: train.epochs: is missing, which a definition names")


def results_only(folder):
    """How a run ends that finds an earlier one's results: it leaves them."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    code, line = run(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return code, line.partition(" (claim")[0]


def test_the_verdicts_depend_on_the_parameters_numbers_and_figures_of_every_study_that_claims_name():
    folder = ROOT / "studies" / "ledger"
    stages = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    deps = {(folder / path).resolve().relative_to(ROOT.resolve()).as_posix() for path in stages["claims"]["deps"]}
    for study in STUDIES:
        at = measured.folder_of(study, Path())
        read = ["params.yaml", "reports/metrics.json"]
        read += ["reports/figures"] * any(claim.figure for claim in CLAIMS.values() if claim.measure.study == study)
        assert {(at / path).as_posix() for path in read} <= deps, study
    drawn = re.findall(r'--figure ".*?" (\S+)/figures/', stages["page"]["cmd"])
    assert {f"{path}/figures" for path in drawn} <= set(stages["page"]["deps"]) and drawn
