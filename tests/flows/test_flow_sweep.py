"""The flow that sweeps a grid: each point an experiment, the workspace untouched."""

import base64
import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

# DVC's own, when its functions are called from here.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

SWEEP = (sys.executable, "-m", "pipelines.sweep")

# A pipeline that takes no time: its metric is its parameter; at 13 it fails, above 99 it waits for the test.
TOY = """
stages:
  square:
    cmd: >-
      echo ${n} >> $DVC_ROOT/ran.log;
      if [ ${n} = 13 ]; then echo 'gradflow: params.yaml: n: must not be 13, got 13' >&2; exit 2; fi;
      if [ ${n} -gt 99 ]; then echo $$ > $DVC_ROOT/wait.pid; sleep 600; fi;
      echo '{"all": {"same": ${n}, "seeds": 1}}' > metrics.json
    params: [n]
    metrics: [metrics.json: {cache: false}]
"""


# Two stages: the first reads n, the second text.
SHARED = """
stages:
  square:
    cmd: >-
      echo ${n} >> $DVC_ROOT/ran.log; sleep 2;
      if [ ${n} = 13 ]; then echo 'gradflow: params.yaml: n: must not be 13, got 13' >&2; exit 2; fi;
      echo ${n} > square.txt
    params: [n]
    outs: [square.txt]
  say:
    cmd: echo ${text} >> $DVC_ROOT/said.log; cp square.txt said.txt
    deps: [square.txt]
    params: [text]
    outs: [said.txt]
"""


@pytest.fixture
def squares(toy, pipeline):
    (toy.root / "params.yaml").write_text("n: 1\ntext: a\n")
    pipeline(TOY)
    return toy


def ran(project):
    log = project.root / "ran.log"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def experiments(project):
    rows = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    return {row["name"] for parent in rows for row in parent["experiments"] or []}


def test_six_points_two_at_once_one_invalid(connected, last_run, api):
    from prefect.client.schemas.filters import FlowRunFilter

    connected.change({"variants": {"residual": connected.params()["variants"]["residual"]}})  # one is enough here
    connected.run("git", "commit", "--quiet", "--all", "--message", "One variant")
    # Experiments in copies must find the database of the checkout by themselves.
    unset = {name: value for name, value in connected.env.items() if name != "MLFLOW_TRACKING_URI"}
    connected = replace(connected, env=unset)
    before = connected.run("git", "status", "--porcelain").stdout, connected.params()
    grid = "depth=1,2,4,5,6,-1"
    done = connected.run(*SWEEP, "--jobs", "2", grid, code=1)
    line = "gradflow: 1 of 6 points failed: depth=-1: params.yaml: depth: must be >= 1, got -1"
    assert [text for text in done.stderr.splitlines() if text.startswith("gradflow: ")] == [line]
    run, tasks = last_run()
    assert run.name == f"sweep {grid}" and run.state.name == "Failed"
    assert {name: task.run_count for name, task in tasks.items() if task.state.name == "Failed"} == {
        "depth=-1 (failed)": 1
    }
    assert (connected.run("git", "status", "--porcelain").stdout, connected.params()) == before

    (file,) = (connected.root / "reports/sweeps").glob("*.csv")
    assert file.name.startswith("depth-") and f"table: {file}\n" in done.stdout
    table = list(csv.DictReader(file.read_text().splitlines()))
    good = {row["experiment"]: row for row in table if row["outcome"] == "Ran"}
    assert [row["depth"] for row in good.values()] == ["1", "2", "4", "5", "6"]
    assert table[-1]["error"] == "gradflow: params.yaml: depth: must be >= 1, got -1"
    assert experiments(connected) == set(good)
    with closing(sqlite3.connect(connected.root / "mlflow.db")) as open_database:
        tracked = open_database.execute("SELECT DISTINCT value FROM tags WHERE key = 'dvc_exp_name'")
        assert {name for (name,) in tracked} == set(good)
    name, row = next(iter(good.items()))
    metrics = json.loads(connected.run("git", "show", f"{commit(connected, name)}:reports/metrics.json").stdout)
    assert float(row["residual.val_accuracy.mean"]) == metrics["residual"]["val_accuracy"]["mean"]
    assert not [column for column in table[0] if column.startswith("residual.weight_grad_norm")]  # lists by layer

    figure = file.with_suffix(".png")
    assert f"figure: {figure}\n" in done.stdout and file.with_suffix(".svg").exists()
    artifacts = api.read_artifacts(flow_run_filter=FlowRunFilter(id={"any_": [run.id]}))
    shown = {artifact.key: artifact.data for artifact in artifacts}["figure"]
    assert base64.b64decode(shown.removeprefix("data:image/png;base64,")) == figure.read_bytes()

    connected.run(*SWEEP, grid, code=1)
    _, tasks = last_run()
    assert sorted(task.state.name for task in tasks.values()) == ["Failed"] + ["Present"] * 5


def test_an_interrupted_sweep_goes_on_where_it_was(squares, started, eventually, alive):
    flow = started(squares, *SWEEP, "--jobs", "2", "n=2,100")
    file = squares.root / "wait.pid"
    pid = int(eventually(lambda: file.exists() and file.read_text()))  # it is made before it is written
    eventually(lambda: experiments(squares))
    os.kill(flow.pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    squares.run(*SWEEP, "n=2,3")
    assert sorted(ran(squares)) == [2, 3, 100]  # what was done is not done again
    assert len(experiments(squares)) == 2
    assert not list((squares.root / ".dvc/tmp/exps/standalone").glob("tmp*"))


def test_a_sweep_prints_its_table_and_leaves_that_of_another_one_alone(squares):
    def table(*grid):
        (path,) = re.findall(r"^table: (.+)$", done := squares.run(*SWEEP, *grid).stdout, re.MULTILINE)
        return Path(path), [line.split() for line in done.splitlines()]

    path, lines = table("n=2,3")
    assert path.is_relative_to(squares.root)
    assert lines[:3] == [
        ["n", "outcome", "variant", "same", "seeds"],
        ["2", "Ran", "all", "2", "1"],
        ["3", "Ran", "all", "3", "1"],
    ]
    before = path.read_text()
    other, _ = table("n=4,5")
    assert other != path and path.read_text() == before
    again, lines = table("n=2,3")
    assert again == path and path.read_text() == before.replace("Ran", "Present")


def test_a_sweep_of_what_is_tracked_is_a_run_with_table_and_figure_once(squares, pipeline):
    database = squares.root / "mlflow.db"
    tracking = replace(squares, env=squares.env | {"MLFLOW_TRACKING_URI": ""})
    tracking.run(*SWEEP, "n=2,3")
    assert not database.exists(), "nothing of this pipeline is tracked"

    pipeline(TOY + "  track:\n    cmd: 'true'\n    deps: [metrics.json]\n")
    for _ in range(2):
        done = tracking.run(*SWEEP, "n=2,3")
    (table,) = (Path(line.removeprefix("table: ")) for line in done.stdout.splitlines() if line.startswith("table: "))
    with closing(sqlite3.connect(database)) as opened:
        query = "SELECT run_uuid, name, status, artifact_uri FROM runs WHERE lifecycle_stage = 'active'"
        [(run, name, status, artifacts)] = opened.execute(query)
        tags = dict(opened.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)))
    assert (name, status, tags["grid"]) == (f"sweep {table.stem}", "FINISHED", "n=2,3")
    assert f"tracked: run {run} in sqlite:///{database}\n" in done.stdout
    files = {file.name: file.read_bytes() for file in Path(url2pathname(urlsplit(artifacts).path)).iterdir()}
    assert files == {
        table.with_suffix(end).name: table.with_suffix(end).read_bytes() for end in (".csv", ".png", ".svg")
    }


@pytest.mark.parametrize(("key", "joined"), [("split.seed", False), ("depth", True)])
def test_a_sweep_over_seeds_shows_the_result_of_each_and_no_line_between_them(key, joined):
    from pipelines import findings
    from pipelines.experiments import Point

    points = [Point((f"{key}={value}", "seeds=1"), f"p{value}", present=False) for value in (0, 1, 7)]
    metrics = {f"p{value}": {"plain": {"val_accuracy": 0.9 + value / 100}} for value in (0, 1, 7)}
    axes = findings.drawn(points, metrics, "").axes[0]
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert [line.get_linestyle() for line in drawn] == ["-" if joined else "None"]
    assert [float(y) for y in drawn[0].get_ydata()] == [0.9, 0.91, 0.97]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "7"]


def test_points_that_share_a_stage_run_it_once(squares, pipeline):
    pipeline(SHARED)
    grid = ("n=2,13,3", "text=b,c")
    done = squares.run(*SWEEP, "--jobs", "6", *grid, code=1)
    assert sorted(ran(squares)) == [2, 3, 13, 13]  # a stage that fails leaves nothing to share, and stops nobody
    assert "2 of 6 points failed" in done.stderr
    assert len(experiments(squares)) == 4
    assert sorted((squares.root / "said.log").read_text().split()) == ["b", "b", "c", "c"]


def test_a_point_waits_only_for_those_that_share_what_has_to_run(squares, pipeline):
    from pipelines.experiments import in_order, points

    def order(*grid):
        planned = in_order(squares.root, points(squares.root, grid))
        return [(point.label, [other.label for other in ahead]) for point, ahead in planned]

    pipeline(SHARED)
    assert order("text=b,c") == [("text=b", []), ("text=c", ["text=b"])]
    assert order("n=2,3", "text=b,c") == [
        ("n=2 text=b", []),
        ("n=3 text=b", []),
        ("n=2 text=c", ["n=2 text=b"]),
        ("n=3 text=c", ["n=3 text=b"]),
    ]
    squares.run("dvc", "repro")
    assert order("text=b,c") == [("text=b", []), ("text=c", [])]  # what they share is in the cache


def test_a_dry_run_lists_the_points_and_runs_none(squares):
    squares.run(*SWEEP, "n=2", "text=b")
    listed = squares.run(*SWEEP, "--dry-run", "n=2,3", "text=b,c").stdout.splitlines()
    assert [(line.split()[0], line.split()[-2:]) for line in listed] == [
        ("present", ["n=2", "text=b"]),
        ("to", ["n=2", "text=c"]),
        ("to", ["n=3", "text=b"]),
        ("to", ["n=3", "text=c"]),
    ]
    assert ran(squares) == [2]


def test_a_point_is_run_again_when_the_code_or_another_parameter_has_changed(squares):
    from pipelines import experiments

    def names():
        return [point.name for point in experiments.points(squares.root, ["n=1,2"])]

    first = names()
    assert names() == first and len(set(first)) == 2
    squares.run("dvc", "repro")  # results do not count
    assert names() == first
    (squares.root / "params.yaml").write_text("n: 1\ntext: b\n")
    edited = names()
    assert not set(edited) & set(first)
    squares.run("git", "commit", "--quiet", "--all", "--message", "Edit")
    assert not set(names()) & {*first, *edited}


def test_a_dvc_lock_that_is_in_git_does_not_make_a_point_run_again(squares):
    from pipelines import experiments

    squares.run("dvc", "repro")
    squares.run("git", "add", "--all")
    squares.run("git", "commit", "--quiet", "--message", "Results")
    (squares.root / "params.yaml").write_text("n: 2\ntext: a\n")
    (before,) = experiments.points(squares.root, ["text=b"])
    squares.run("dvc", "repro")  # which changes dvc.lock
    (after,) = experiments.points(squares.root, ["text=b"])
    assert after.name == before.name


def test_in_a_folder_of_a_larger_repository_only_that_folder_counts(squares):
    within = replace(squares, root=squares.root / "project")
    within.root.mkdir()
    for name in (".dvc", ".dvcignore", ".gitignore", "dvc.yaml", "params.yaml"):
        (squares.root / name).rename(within.root / name)

    def commit(text):
        (squares.root / "README").write_text(text)
        squares.run("git", "add", "--all")
        squares.run("git", "commit", "--quiet", "--message", text)

    commit("A project in a folder")
    done = within.run(*SWEEP, "n=2,3")
    assert [line.split()[-2] for line in done.stdout.splitlines()[1:3]] == ["2", "3"]
    commit("Another folder")
    (squares.root / "README").write_text("Edited")
    within.run(*SWEEP, "n=2,3")
    assert sorted(ran(within)) == [2, 3]


def test_a_path_that_dvc_cannot_copy_is_refused_before_anything_runs(squares, tmp_path):
    other = squares.copy(tmp_path / "Größe")
    rule = "must be a path in ASCII, DVC cannot run experiments in copies of any other"
    done = other.run(*SWEEP, "n=2,3", code=2)
    assert [line for line in done.stderr.splitlines() if line.startswith("gradflow")] == [
        f"gradflow: {other.root}: {rule}"
    ]
    assert not ran(other)
    done = other.run("dvc", "exp", "run", "--temp", "-S", "n=2", code=255)
    assert "'ascii' codec can't encode" in done.stderr  # once it can, the rule may go


@pytest.mark.parametrize("grid", ["n=[1", "n", "=1,2"])
def test_a_grid_that_cannot_be_read_is_refused(squares, grid):
    from gradflow.guards.errors import InputError
    from pipelines import experiments

    with pytest.raises(InputError, match=re.escape(f"grid: must be KEY=VALUE,VALUE..., got '{grid}'")):
        experiments.points(squares.root, [grid])


@settings(deadline=None)  # starting git takes as long as the machine is busy
@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=80)), min_size=1, max_size=5))
def test_any_point_has_a_name_that_git_and_dvc_take(pairs):
    from pipelines.experiments import _name

    name = _name([f"{key}={value}" for key, value in pairs], "state")
    subprocess.run(["git", "check-ref-format", f"refs/exps/00/00/{name}"], check=True)
    assert "/" not in name and len(name) < 60


def commit(project, experiment):
    listed = project.run("git", "for-each-ref", "--format=%(objectname) %(refname:lstrip=4)", "refs/exps").stdout
    return next(line.split()[0] for line in listed.splitlines() if line.split()[1] == experiment)
