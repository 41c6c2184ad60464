"""Names that a shell, a path or a page would take for more than a name: refused with one line, or only shown."""

import csv
import re
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner

from gradflow import recipe
from gradflow.data import sources
from gradflow.drawing import style
from gradflow.guards.errors import InputError, RunError, shown
from gradflow.params.loading import load
from gradflow.recipe import Recipe
from pipelines import experiments
from stages import check, track

# Each would leave a file called "executed" if anything ran it.
HOSTILE = [
    "../x",
    "../../../x",
    "/tmp/x",
    "<script>alert(1)</script>",
    "$(touch executed)",
    "a;touch executed",
    "`touch executed`",
    "x && touch executed",
    "a'b",
    'a"b',
    "a\nb\ntouch executed",
    "x" * 10_000,
    "--force",
    "\u202egnirts\u200b",
    "${depth}",
    "train@x",
    "\x1b[2J",
]
ALL_AT_ONCE = "'\"; touch executed; `touch executed` $(touch executed)\ntouch executed"
# DVC's own, when its functions are called from here.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


def names(text):
    """Something short to call a case."""
    return ascii(text[:20])


def line(text):
    """The one line of ours among those of DVC."""
    found = [line for line in text.splitlines() if line.startswith("gradflow: ")]
    assert len(found) == 1 and found[0].isprintable() and len(found[0]) < 300, text
    return found[0]


@pytest.fixture(scope="module")
def small(fresh, tmp_path_factory):
    """A folder with the small parameters that are fine."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "params.yaml").write_bytes((fresh.root / "params.yaml").read_bytes())
    return folder


@pytest.fixture
def refused(small, tmp_path, monkeypatch):
    """Change the parameters and let them be checked; returns the line."""
    monkeypatch.chdir(tmp_path)

    def refused(change):
        document = yaml.safe_load((small / "params.yaml").read_text(encoding="utf-8"))
        change(document)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        done = CliRunner().invoke(check.main, ["passed"])
        assert done.exit_code == 2
        assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
        return line(done.stderr)

    return refused


@pytest.mark.parametrize("name", HOSTILE, ids=names)
def test_a_hostile_name_of_a_variant_or_a_block_is_refused(refused, name):
    rule = "must be a letter followed by up to 39 letters, digits, _ or -"
    assert rule in refused(lambda document: document["variants"].update({name: {"block": "plain"}}))
    assert "block: must be one of" in refused(lambda document: document["variants"]["plain"].update(block=name))
    assert "unknown key" in refused(lambda document: document["variants"]["plain"].update({name: 1}))


@pytest.mark.parametrize("key", ["path", "revision"])
def test_what_a_terminal_would_obey_is_refused_where_dvc_shows_it(refused, key):
    for text in ("\x1b[2J", "a\nb", "\0"):
        line = refused(lambda document, text=text: document["data"].update({key: text}))
        assert f"params.yaml: data.{key}: must not hold control characters" in line


@pytest.mark.parametrize("name", HOSTILE, ids=names)
def test_a_hostile_path_is_no_data_set(refused, small, monkeypatch, tmp_path, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "data.path: must" in refused(lambda document: document["data"].update(source="file", path=name))
    data = load(Recipe, small / "params.yaml").data.model_copy(update={"path": name, "revision": name})

    with pytest.raises(RunError, match=r"must name a data set|cannot be read|cannot be reached|was not got"):
        sources.hub(data)

    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_dvc_runs_nothing_that_stands_in_the_name_of_a_variant(project):
    project.change({"variants": project.params()["variants"] | {ALL_AT_ONCE: {"block": "plain"}}})

    for arguments in (["--single-item", f"train@{ALL_AT_ONCE}"], []):
        stderr = project.run("dvc", "repro", *arguments, code=255).stderr
        assert line(stderr).startswith("gradflow: params.yaml: variants.")
    assert not list(project.root.rglob("executed"))


@pytest.mark.parametrize(
    "name", [ALL_AT_ONCE, *(pytest.param(name, marks=pytest.mark.campaign) for name in HOSTILE)], ids=names
)
def test_a_label_is_only_drawn(tmp_path, monkeypatch, name):
    """Labels come from the user's own file; a figure shows them as outlines, cut to what fits."""
    monkeypatch.chdir(tmp_path)
    with Path("own.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b", "label"], *([i, -i, (name, "other")[i % 2]] for i in range(60))])
    data = recipe.Data(source="file", path="own.csv", revision=None, samples=60, noise=0.1, seed=0)
    table = sources.file(data)
    if len(name) > 200:
        with pytest.raises(InputError, match="must hold labels of up to 200 characters, got one of 10000"):
            sources.dataset.standardise(table, "own.csv")
        return
    labels = sources.dataset.standardise(table, "own.csv")[2]
    assert set(labels) == {name, "other"}
    with style.matplotlib.rc_context(style.RC):
        figure = style.Figure(figsize=(2, 1))
        figure.text(0, 0, style.words(labels[0], 40), parse_math=False)
        style.save(figure, tmp_path / "figure", 50)
    drawn = {element.tag.rpartition("}")[2] for element in ElementTree.parse("figure.svg").iter()}
    assert drawn.isdisjoint({"script", "text", "foreignObject", "image", "a"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.png", "figure.svg", "own.csv"]


@pytest.mark.parametrize("name", ["", " ", "\n", "a\nb", "x" * 10_000, "\u202ea", "\x1b[2J"], ids=names)
def test_a_name_that_mlflow_cannot_show_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(track.main, [*"12345", f"--experiment={name}"])

    assert done.exit_code == 2
    assert "--experiment: must be 1 to 500 printable characters" in line(done.stderr)


@pytest.mark.parametrize("name", ["../x", "x" * 10_000, "a.b", ALL_AT_ONCE], ids=names)
def test_a_sweep_has_no_hostile_point(fresh, name):
    """Hydra's grammar refuses most; what it takes is called by plain letters."""
    for override in (f"{name}=1", f"+variants.{name}.block=plain", f"data.path='{name}'"):
        with suppress(InputError):
            (point,) = experiments.points(fresh.root, [override])
            assert re.fullmatch(r"[A-Za-z0-9.-]{1,60}", point.name)
            assert re.fullmatch(
                r"[A-Za-z0-9.-]{1,100}", experiments.title(fresh.root, fresh.root, [override], [point.name])
            )


@pytest.mark.parametrize("file", ["/tmp/other.yaml", "../other.yaml", "studies/../../other.yaml"])
def test_a_sweep_changes_no_file_outside(fresh, file):
    with pytest.raises(InputError, match="grid: must name files in"):
        experiments.points(fresh.root, [f"{file}:depth=1"])


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["a;touch${IFS}executed", "-x", "it's", "rtl\u202e", "<b>"], ids=names)
def test_an_experiment_of_a_hostile_name_only_bears_it(project, name):
    done = project.run("dvc", "exp", "run", "--temp", f"--name={name}", "-S", "plot.dpi=60", code=None)

    assert done.returncode == 0 or "Invalid exp name" in done.stderr
    assert not list(project.root.rglob("executed"))


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["../x", "<script>alert(1)</script>", "$(touch executed)", "-x", "it's"], ids=names)
def test_a_hostile_name_in_mlflow_is_only_shown(project, name):
    def files():
        return {path for path in project.root.parent.rglob("*") if not {"mlartifacts", "__pycache__"} & set(path.parts)}

    before = files()
    done = project.run(
        *("python", "-m", "stages.track", "data", "models", "logs", "reports", "data/tracked", f"--experiment={name}")
    )
    assert done.stdout.startswith("tracked: ")
    assert files() == before


@pytest.mark.parametrize(
    "where", ["../made/outside", pytest.param("{tmp_path}/made/outside", marks=pytest.mark.campaign)]
)
def test_an_experiment_of_somebody_else_writes_nothing_outside(project, where, tmp_path):
    """An experiment can be fetched from anywhere, and its dvc.lock can name any path."""
    where = where.format(tmp_path=tmp_path)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    lock = yaml.safe_load((project.root / "dvc.lock").read_text(encoding="utf-8"))
    lock["stages"]["track"]["deps"].append({"path": where, "md5": "0" * 32})
    (project.root / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    base = project.run("git", "rev-parse", "HEAD").stdout.strip()
    project.run("git", "commit", "--quiet", "--all", "--message", "Experiment")
    project.run("git", "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/theirs", "HEAD")
    project.run("git", "reset", "--quiet", "--hard", base)
    there = sorted(tmp_path.iterdir())

    done = project.run("python", "-m", "pipelines.track_all", code=1, TMPDIR=str(temporary))

    assert f"theirs: its dvc.lock names {shown(where)}, which lies outside the pipeline" in line(done.stderr)
    assert sorted(tmp_path.iterdir()) == there and not list(temporary.iterdir())
