"""A search: points that Optuna chooses from what came out of those before, as experiments like those of a grid."""

import csv
import json
import math
import os
import re
import signal
from pathlib import Path

import pytest

from gradflow.guards.errors import InputError
from pipelines import experiments
from pipelines.search import Search, State

# DVC's own, when its functions are called from here.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")

# Its loss is smallest at rate 0.1 and size 7; at size 13 it fails; at 99 it waits for the test, but once.
BOWL = """
stages:
  bowl:
    cmd: >-
      echo ${size} >> $DVC_ROOT/ran.log;
      if [ ${size} = 13 ]; then echo 'gradflow: params.yaml: size: must not be 13, got 13' >&2; exit 2; fi;
      if [ ${size} = 99 ] && [ ! -e "$DVC_ROOT/go.log" ]; then echo $$ > $DVC_ROOT/wait.pid; sleep 600; fi;
      python -c "import json, math;
      loss = math.log10(10 * ${rate}) ** 2 + (${size} / 7 - 1) ** 2;
      json.dump(dict(all=dict(loss=dict(mean=loss, seeds=1), diverged=[])), open('metrics.json', 'w'))"
    params: [rate, size]
    metrics: [metrics.json: {cache: false}]
"""
SEARCH = ("python", "-m", "pipelines.sweep", "--search", "optuna", "--metric", "all.loss.mean")
RANGES = ["rate=tag(log,interval(0.001,10))", "size=int(interval(1,12))"]


@pytest.fixture
def bowl(toy, pipeline):
    (toy.root / "params.yaml").write_text("rate: 1.0\nsize: 3\n")
    pipeline(BOWL)
    return toy


@pytest.fixture
def finish(bowl):
    """Leave the experiment of a point as DVC does, without the seconds that it takes."""

    def commit(point, diverged=()):
        rate, size = (json.loads(value) for value in point.values.values())
        loss = None if diverged else math.log10(10 * rate) ** 2 + (size / 7 - 1) ** 2
        metrics = {"all": {"loss": {"mean": loss, "seeds": 1}, "diverged": list(diverged)}}
        git = {"GIT_INDEX_FILE": str(bowl.root / ".git/draft")}
        head = bowl.run("git", "rev-parse", "HEAD").stdout.strip()
        bowl.run("git", "read-tree", "HEAD", **git)
        for name, text in (("params.yaml", f"rate: {rate}\nsize: {size}\n"), ("metrics.json", json.dumps(metrics))):
            (bowl.root / "draft.log").write_text(text)
            blob = bowl.run("git", "hash-object", "-w", "draft.log").stdout.strip()
            bowl.run("git", "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", **git)
        tree = bowl.run("git", "write-tree", **git).stdout.strip()
        made = {"GIT_COMMITTER_DATE": f"{1_700_000_000 + len(known(bowl))} +0000"}
        done = bowl.run("git", "commit-tree", tree, "-p", head, "-m", point.name, **made).stdout.strip()
        bowl.run("git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{point.name}", done)
        return metrics

    return commit


def known(project):
    return project.run("git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").stdout.split()


def ran(project):
    return [int(line) for line in (project.root / "ran.log").read_text().split()]


def search(project, ranges=RANGES, **options):
    return Search(project.root, ranges, **{"metric": "all.loss.mean", "trials": 100, "seed": 0} | options)


def rows(done):
    (path,) = re.findall(r"^table: (.+)$", done.stdout, re.MULTILINE)
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def test_it_finds_better_points_than_drawing_them_and_one_that_starts_later_asks_for_the_same(bowl, finish):
    first = search(bowl, trials=26, seed=3)
    for number in range(26):
        point = first.ask()
        if number in (3, 15):
            assert search(bowl, trials=26, seed=3).ask() == point, "made anew from the experiments alone"
            assert search(bowl, trials=26, seed=4).ask() != point
        first.tell(point, finish(point))
    assert first.ask() is None
    again = search(bowl, trials=26, seed=3)
    assert again.ask() is None and again.best.point.name == first.best.point.name
    losses = [trial.value for trial in again.trials.values()]
    drawn, chosen = losses[:10], losses[10:]  # Optuna draws the first ten
    assert min(chosen) == again.best.value < 0.1 * min(drawn) and sum(chosen) / 16 < 0.5 * sum(drawn) / 10


def test_points_of_a_grid_are_trials_as_far_as_they_lie_in_the_ranges(bowl, finish):
    for point in experiments.points(bowl.root, ["rate=0.12345678,1,100", "size=3,8"]):
        finish(point)
    there = [trial.point.label for trial in search(bowl).trials.values()]
    assert there == [f"rate={rate} size={size}" for rate in ("0.12345678", "1") for size in (3, 8)]
    (bowl.root / "params.yaml").write_text("rate: 1.0\nsize: 4\n")  # another state, whose results may differ
    assert not search(bowl).trials


def test_what_diverged_or_failed_is_a_trial_without_a_number(bowl, finish):
    one = search(bowl)
    lost, failed, good = one.ask(), one.ask(), one.ask()
    one.tell(lost, finish(lost, diverged=[{"seed": 0, "epoch": 1, "step": 1}]))
    one.tell(failed, None)
    one.tell(good, finish(good))
    states = [State.DIVERGED, State.FAILED, State.COMPLETE]
    assert [trial.state for trial in one.trials.values()] == states and one.best.point == good
    again = search(bowl)
    assert {trial.state for trial in again.trials.values()} == {State.DIVERGED, State.COMPLETE}
    for _ in range(12):
        again.tell(again.ask(), None)


def test_no_number_of_what_diverged_is_the_best(bowl):
    """The mean of the seeds that are left may well be the smallest of all."""
    one = search(bowl)
    seed = {"seed": 0, "epoch": 1, "step": 1}
    for loss, diverged in ((0.001, [seed]), (None, [seed]), (math.nan, []), (-math.inf, [])):
        lost = one.ask()
        one.tell(lost, {"all": {"loss": {"mean": loss, "seeds": 2}, "diverged": diverged}})
        assert one.trials[lost.name].state == State.DIVERGED, (loss, diverged)
    good = one.ask()
    one.tell(good, {"all": {"loss": {"mean": 1.0, "seeds": 2}, "diverged": []}})
    assert one.best.point == good


def test_it_keeps_away_from_where_points_diverge(bowl):
    """The loss falls up to the rate from which on there is none."""
    one = search(bowl, RANGES[:1], trials=40)
    lost = []
    for point in iter(one.ask, None):
        rate = float(point.values["rate"])
        lost.append(rate > 0.1)
        section = {"loss": {"mean": -math.log10(rate)}, "diverged": [{"seed": 0, "epoch": 1, "step": 1}] * lost[-1]}
        one.tell(point, {"all": section})
    assert sum(lost[20:]) < 15, "all 20 were it not said that they are worse than any number"


def test_points_between_the_steps_of_a_range_are_no_trials(bowl, finish):
    for point in experiments.points(bowl.root, ["rate=1", "size=2,3"]):
        finish(point)
    for steps in ("range(2,12,5)", "range(7,0,-5)"):
        one = search(bowl, ["rate=1", f"size={steps}"])
        assert [trial.point.label for trial in one.trials.values()] == ["rate=1 size=2"]
        assert [point.label for point in iter(one.ask, None)] == ["rate=1 size=7"]


def test_a_value_that_is_rounded_stays_in_its_range(bowl):
    one = search(bowl, ["rate=tag(log,interval(0.12351,0.12358))"])
    assert {point.label for point in iter(one.ask, None)} == {"rate=0.12351", "rate=0.12358"}


def test_a_value_is_found_in_the_file_and_section_that_its_key_names(bowl):
    (bowl.root / "more.yaml").write_text("net:\n  width: 4\n")
    axes = search(bowl, ["+extra=interval(0,1)", "more.yaml:net.width=int(interval(1,8))"]).axes
    assert {axis.file: axis.place({"net": {"width": 4}, "extra": 0.5}) for axis in axes} == {
        "params.yaml": 0.5,
        "more.yaml": 4,
    }


def test_a_search_of_another_seed_metric_or_range_has_files_of_its_own(bowl):
    searches = [search(bowl), search(bowl, seed=1), search(bowl, metric="all.accuracy"), search(bowl, RANGES[:1])]
    assert len({tuple(one.identity) for one in searches}) == len(searches)
    assert search(bowl).identity == searches[0].identity


def test_experiments_of_the_git_remote_are_trials_where_machines_share_it(bowl, finish, tmp_path):
    bowl.run("git", "init", "--quiet", "--bare", tmp_path / "remote")
    bowl.run("git", "remote", "add", "origin", tmp_path / "remote")
    point = search(bowl).ask()
    finish(point)
    bowl.run("git", "push", "--quiet", "origin", "refs/exps/*:refs/exps/*")
    ref = bowl.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.strip()
    bowl.run("git", "update-ref", "-d", ref)
    assert not search(bowl).trials
    (trial,) = search(bowl, shared=True).trials.values()
    assert trial.point.name == point.name and trial.state == State.COMPLETE


def test_values_are_those_of_a_choice_a_step_or_as_they_are(bowl):
    one = search(bowl, ["rate=0.1,1e-2,null", "size=range(2,12,5)"])
    asked = {point.label for point in iter(one.ask, None)}
    assert asked == {f"rate={rate} size={size}" for rate in ("0.1", "0.01", "null") for size in (2, 7)}


REFUSED = {
    "rate=interval(1,0.1)": "grid: rate: must be an interval from a smaller to a larger number, got 1.0, 0.1",
    "rate=interval(0,inf)": "grid: rate: must be an interval from a smaller to a larger number, got 0.0, inf",
    "rate=tag(log,interval(0,1))": "grid: rate: must begin above 0 where the interval is logarithmic, got 0.0",
    "rate=0.1": "grid: must have a key with several values to search, got 'rate=0.1'",
    "rat=interval(0,1)": "grid: must give values to keys of params.yaml, got rat; did you mean rate? (+rat adds it)",
}


@pytest.mark.parametrize("ranges", REFUSED)
def test_a_range_that_makes_no_sense_is_refused(bowl, ranges):
    with pytest.raises(InputError, match=re.escape(REFUSED[ranges])):
        search(bowl, [ranges])


def test_a_metric_or_a_number_that_makes_no_sense_is_refused(bowl, finish):
    with pytest.raises(InputError, match=r"^--trials: must be >= 1, got 0"):
        search(bowl, trials=0)
    with pytest.raises(InputError, match=r"^--seed: must be a whole number from 0 to 4294967295, got -1"):
        search(bowl, seed=-1)
    (bowl.root / "metrics.json").write_text('{"all": {"loss": {"mean": 1.0}}}')
    with pytest.raises(InputError, match=r"^--metric: must be .*, such as all\.loss\.mean; got all\.los$"):
        search(bowl, metric="all.los")
    (bowl.root / "params.yaml").write_text("rate: 1.0\nsize: 3\nvariants:\n  new: {}\n")
    search(bowl, metric="new.loss.mean")  # of a variant that has not run
    (bowl.root / "metrics.json").unlink()  # then it shows when a point has run
    one = search(bowl, metric="all.accuracy")
    point = one.ask()
    with pytest.raises(InputError, match=r"^--metric: must be .*; got all\.accuracy$"):
        one.tell(point, finish(point))


def test_a_search_is_run_marked_and_goes_on_after_it_was_killed(bowl, started, eventually, alive):
    ranges = ("rate=tag(log,interval(0.001,10))", "size=7,99")
    flow = started(bowl, *SEARCH, "--trials", "3", "--jobs", "2", *ranges)
    file = bowl.root / "wait.pid"
    pid = int(eventually(lambda: file.exists() and file.read_text()))  # it is made before it is written
    eventually(lambda: known(bowl))
    os.kill(flow.pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    (bowl.root / "go.log").touch()
    before = known(bowl)
    done = bowl.run(*SEARCH, "--trials", "3", "--jobs", "2", *ranges)
    assert set(before) < set(known(bowl)) and len(known(bowl)) == 3
    found = rows(done)
    assert [row["experiment"] for row in found if row["outcome"] == "Present"] == before
    (best,) = (row for row in found if row["best"])
    assert float(best["all.loss.mean"]) == min(float(row["all.loss.mean"]) for row in found)
    assert f"dvc exp apply {best['experiment']}" in done.stdout.splitlines()[-1]
    assert len(re.findall(r"^figure: ", done.stdout, re.MULTILINE)) == 1
    grid = (f"rate={best['rate']}", f"size={best['size']}")
    assert bowl.run("python", "-m", "pipelines.sweep", "--dry-run", *grid).stdout.startswith("present")


def test_a_point_that_fails_stops_no_search_and_a_range_may_be_exhausted(bowl, last_run):
    done = bowl.run(*SEARCH, "--trials", "9", "--jobs", "1", "rate=1", "size=7,13", code=1)
    line = "gradflow: 1 of 2 points failed: rate=1 size=13: params.yaml: size: must not be 13, got 13"
    assert [text for text in done.stderr.splitlines() if text.startswith("gradflow: ")] == [line]
    assert {row["size"]: row["outcome"] for row in rows(done)} == {"7": "Ran", "13": "Failed"}
    _, tasks = last_run()
    assert sorted(tasks) == ["rate=1 size=13 (failed)", "rate=1 size=7 (ran)"]
    listed = bowl.run(*SEARCH, "--trials", "4", "--dry-run", *RANGES).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["present", "to", "and"]
