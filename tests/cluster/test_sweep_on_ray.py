"""A sweep on the machines of a cluster: what it gives, what it refuses, and what a lost machine costs."""

import csv
import re
import signal
from dataclasses import replace

import psutil
import pytest

SWEEP = ("python", "-m", "pipelines.sweep")


def table(project):
    """What the newest sweep wrote: label to row."""
    newest = max((project.root / "reports/sweeps").glob("*.csv"), key=lambda path: path.stat().st_mtime)
    return {row["experiment"]: row for row in csv.DictReader(newest.read_text().splitlines())}


def said(done):
    return [line for line in done.stderr.splitlines() if line.startswith("gradflow: ")]


def test_six_points_on_two_machines_give_what_one_machine_gives(project, machines, tmp_path):
    here = project.copy(tmp_path / "here")
    grid = "depth=1,2,4,5,6,-1"
    on_ray = (*SWEEP, "--ray", machines.address, grid)
    done = project.run(*on_ray, code=1, **machines.env)
    line = "gradflow: 1 of 6 points failed: depth=-1: params.yaml: depth: must be >= 1, got -1"
    assert said(done) == [line]
    here.run(*SWEEP, "--jobs", "2", grid, code=1)
    expected, found = table(here), table(project)
    assert found == expected and [row["outcome"] for row in found.values()] == ["Ran"] * 5 + ["Failed"]
    assert project.run("git", "status", "--porcelain").stdout == ""
    (failed,) = [name for name, row in found.items() if row["outcome"] == "Failed"]
    kept = [path.name for path in (machines.home / ".cache/gradflow/points").iterdir()]
    assert [name.partition(".")[0] for name in kept] == [failed], "the clones of the others are deleted"

    again = project.run(*on_ray, code=1, **machines.env)
    assert said(again) == [line]
    assert [row["outcome"] for row in table(project).values()] == ["Present"] * 5 + ["Failed"]

    colleague = project.copy(tmp_path / "a colleague")
    for name in expected:
        refs = colleague.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").stdout.split()
        for ref in refs:
            colleague.run("git", "update-ref", "-d", ref)
    colleague.run("python", "-m", "pipelines.collect", grid)
    numbers = [{k: v for k, v in row.items() if k != "outcome"} for row in table(colleague).values()]
    assert numbers == [{k: v for k, v in row.items() if k != "outcome"} for row in list(expected.values())[:5]]

    project.run("git", "clone", "--quiet", tmp_path / "own.git", tmp_path / "from nothing")
    newcomer = replace(project, root=tmp_path / "from nothing")
    newcomer.run("python", "-m", "pipelines.collect", grid)
    newcomer.run("dvc", "exp", "pull", "origin", next(iter(expected)))
    newcomer.run("dvc", "exp", "apply", next(iter(expected)))
    undisturbed = here.copy(tmp_path / "undisturbed")
    undisturbed.run("dvc", "exp", "apply", next(iter(expected)))
    for name in ("models/plain.safetensors", "logs/residual.parquet", "reports/probe.csv"):
        assert (newcomer.root / name).read_bytes() == (undisturbed.root / name).read_bytes()


def test_an_edit_travels_and_is_in_each_experiment(project, machines):
    project.change({"train.lr": 0.03})
    block = project.root / "gradflow/blocks/residual.py"
    block.write_text(block.read_text() + "# edited\n")
    (block.with_name("further.py")).write_text(block.read_text())
    project.run("git", "add", "gradflow/blocks/further.py")
    project.run(*SWEEP, "--ray", machines.address, "depth=2,4", **machines.env)
    for name in table(project):
        (ref,) = project.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").stdout.split()
        assert project.run("git", "show", f"{ref}:gradflow/blocks/residual.py").stdout.endswith("# edited\n")
        assert project.run("git", "show", f"{ref}:gradflow/blocks/further.py").stdout.endswith("# edited\n")
        assert "lr: 0.03" in project.run("git", "show", f"{ref}:params.yaml").stdout


def test_a_search_on_four_places_finds_what_one_here_finds_with_four_at_once(project, machines, tmp_path):
    here = project.copy(tmp_path / "here")
    search = ("--search", "optuna", "train.lr=tag(log,interval(0.01,1))")
    on_ray = (*SWEEP, "--ray", machines.address, *search)
    project.run(*on_ray, "--trials", "5", **machines.env)
    here.run(*SWEEP, "--jobs", "4", *search, "--trials", "5")
    found = table(project)
    assert found == table(here) and len(found) == 5
    assert sum(row["best"] == "*" for row in found.values()) == 1

    project.run(*on_ray, "--trials", "6", **machines.env)
    assert [row["outcome"] for row in table(project).values()] == ["Present"] * 5 + ["Ran"]


REFUSED = {
    "a remote for data that is another folder elsewhere": (
        ("dvc", "remote", "modify", "storage", "url", "../results"),
        {},
        ".dvc/config: must have an address or an absolute path as remote, ",
    ),
    "several points at once of its own choice": ((), {"JOBS": "2"}, "--jobs: must be left out with --ray"),
    "no token": ((), {"RAY_AUTH_MODE": ""}, "environment: RAY_AUTH_MODE: must be token, "),
    "a commit that is nowhere else": (
        ("git", "commit", "--quiet", "--allow-empty", "--message", "Mine"),
        {},
        "git: must have commit ",
    ),
    "no remote for data": (("dvc", "remote", "remove", "storage"), {}, ".dvc/config: must name a default remote: "),
    "an address that is none": ((), {"ADDRESS": "cluster"}, "--ray: must be HOST:PORT, got 'cluster'"),
    "no remote for git": (("git", "remote", "remove", "origin"), {}, "git: must have a remote origin "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_machines_could_not_work_with_is_refused_before_anything_runs(project, tmp_path, case):
    command, env, line = REFUSED[case]
    if command:
        project.run(*command)
    token = tmp_path / "token"
    token.write_text("0" * 64)
    given = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)} | env
    options = ["--ray", given.pop("ADDRESS", "127.0.0.1:1")]
    options += [f"--jobs={given.pop('JOBS')}"] if "JOBS" in given else []
    done = project.run(*SWEEP, *options, "depth=2", code=2, **given)
    assert len(said(done)) == 1 and line in said(done)[0] and "Traceback" not in done.stderr


def test_a_cluster_that_is_not_there_or_knows_another_token_is_one_line(project, machines, tmp_path):
    other = tmp_path / "another token"
    other.write_text("0" * 64)
    known = machines.env["RAY_AUTH_TOKEN_PATH"]
    for address, token in (("127.0.0.1:1", known), (machines.address, str(other)), (machines.address, "/nowhere")):
        env = machines.env | {"RAY_AUTH_TOKEN_PATH": token}
        done = project.run(*SWEEP, "--ray", address, "depth=2", code=1, **env)
        assert said(done) and said(done)[-1].startswith(f"gradflow: {address}: no Ray cluster can be used there")
        assert "Traceback" not in done.stderr


def test_a_machine_with_other_packages_is_refused_in_one_line(project, machines):
    lock = project.root / "requirements.cluster.lock"
    lock.write_text(re.sub(r"^dvc==.*$", "dvc==3.0.0", lock.read_text(), flags=re.MULTILINE))
    done = project.run(*SWEEP, "--ray", machines.address, "depth=2", code=2, **machines.env)
    (line,) = said(done)
    assert (
        line.startswith("gradflow: requirements.cluster.lock: dvc must be 3.0.0 on ") and "Traceback" not in done.stderr
    )


def trainings(home):
    """Processes that work on a point of the machines, by process id."""
    found = {}
    for process in psutil.process_iter(["cmdline", "cwd"]):
        if (process.info["cwd"] or "").startswith(str(home / ".cache/gradflow/points")):
            found[process.pid] = " ".join(process.info["cmdline"] or [])
    return found


def ancestors(pid):
    return {parent.pid for parent in psutil.Process(pid).parents()}


@pytest.fixture
def long(project):
    """A project whose trainings take some 20 seconds."""
    project.change({"train.epochs": 4000, "data.samples": 400, "probe.every": 4000})
    project.run("git", "commit", "--quiet", "--all", "--message", "Long")
    project.run("git", "push", "--quiet")
    return project


def test_a_machine_that_is_lost_in_training_leaves_its_state_to_another(long, machines, started, eventually, tmp_path):
    states = tmp_path / "states"
    env = machines.env | {"GRADFLOW_STATES": str(states), "GRADFLOW_SAVE_SECONDS": "1"}
    sweep = started(long, *SWEEP, "--ray", machines.address, "depth=5", **env)

    def at_work():
        return [pid for pid, command in trainings(machines.home).items() if "stages.train" in command] and [
            *states.glob("*.npz")
        ]

    eventually(at_work, seconds=120)
    (victim,) = {
        node
        for node in machines.nodes
        for pid in trainings(machines.home)
        if node.all_processes["raylet"][0].process.pid in ancestors(pid)
    } or {None}
    assert victim, "one of the machines trains"
    machines.kill(victim)

    assert sweep.wait(timeout=240) == 0, sweep.log.read_text()
    (row,) = table(long).values()
    assert row["outcome"] == "Ran" and "going on from epoch" in sweep.log.read_text()
    assert eventually(lambda: not trainings(machines.home), seconds=20) is True
    long.run("dvc", "exp", "run", "--temp", "--name", "undisturbed", "-S", "depth=5")
    for path in ("dvc.lock", "reports/metrics.json"):
        names = [f"refs/exps/*/*/{name}" for name in (row["experiment"], "undisturbed")]
        refs = long.run("git", "for-each-ref", "--format=%(refname)", *names).stdout.split()
        first, second = (long.run("git", "show", f"{ref}:{path}").stdout for ref in refs)
        assert first == second
    assert not list(states.glob("*.npz"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_on_the_machines_of_a_sweep_that_was_ended(long, machines, started, eventually, number):
    sweep = started(long, *SWEEP, "--ray", machines.address, "depth=5,6", **machines.env)
    eventually(
        lambda: sum("stages.train" in command for command in trainings(machines.home).values()) >= 2, seconds=120
    )
    sweep.send_signal(number)
    eventually(lambda: not trainings(machines.home), seconds=10)
    sweep.wait(timeout=60)


def test_data_that_were_pushed_without_their_experiment_are_found_by_the_next_sweep(project, machines, tmp_path):
    project.run(*SWEEP, "--ray", machines.address, "depth=4", **machines.env)
    before = table(project)
    (name,) = before
    (ref,) = project.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").stdout.split()
    for repository in (project.root, tmp_path / "own.git"):
        project.run("git", "-C", repository, "update-ref", "-d", ref)
    project.run(*SWEEP, "--ray", machines.address, "depth=4", **machines.env)
    assert table(project) == before


def test_a_point_that_two_people_start_at_once_is_one_experiment_and_one_run(project, machines, started, tmp_path):
    other = project.copy(tmp_path / "somebody else's")
    both = [started(each, *SWEEP, "--ray", machines.address, "depth=4", **machines.env) for each in (project, other)]
    assert [each.wait(timeout=240) for each in both] == [0, 0], [each.log.read_text() for each in both]
    assert table(project) == table(other)
    assert len(project.run("git", "ls-remote", "origin", "refs/exps/*").stdout.splitlines()) == 1
    from mlflow import MlflowClient

    client = MlflowClient(project.env["MLFLOW_TRACKING_URI"])
    runs = client.search_runs(["1"], "tags.dvc_exp_name LIKE 'depth-4%' and tags.fingerprint != ''")
    assert len(runs) == 1
