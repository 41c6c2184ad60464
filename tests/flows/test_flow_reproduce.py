"""The flow that reproduces a pipeline: same results as DVC's own, side by side, visible, safe to stop."""

import json
import os
import re
import shutil
import signal
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

REPRODUCE = (sys.executable, "-m", "pipelines.reproduce")

# A stage that says its process, and waits: for ten minutes, or until Ctrl-C reaches it.
SLEEP = "echo $$ > {0}.pid; exec sleep 600"
# One that waits until the test lets it go on.
WAIT = "echo in >> in.log; until [ -e go.log ]; do sleep 0.1; done;"


def outputs(project):
    """Stage and path of each output to its hash, from dvc.lock."""
    stages = project.lock()["stages"]
    return {(name, out["path"]): out["md5"] for name, stage in stages.items() for out in stage.get("outs", [])}


def said(text):
    """What a command says of its end, apart from the log."""
    return [line for line in text.splitlines() if line.startswith("gradflow: ")]


def states(tasks):
    # A task has no state in the moment between its being made and its first one.
    return {name: task.state and task.state.name for name, task in tasks.items()}


def test_makes_what_dvc_makes_and_tells_what_ran_was_cached_or_is_unchanged(
    clone, finished, prefect_env, server, last_run, api
):
    from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter, LogFilter

    clone = replace(clone, env=prefect_env | {"PREFECT_API_URL": server})
    clone.run(*REPRODUCE)
    run, tasks = last_run()
    stages = set(finished.lock()["stages"])
    assert run.state.name == "Completed"
    assert states(tasks) == {f"{stage} (ran)": "Ran" for stage in stages}
    assert outputs(clone) == outputs(finished)

    train = tasks["train@plain (ran)"]
    lines = [log.message for log in api.read_logs(LogFilter(task_run_id={"any_": [train.id]}))]
    assert any(line.startswith("plain: epoch 2/2, loss ") for line in lines)
    only = {"flow_run_filter": FlowRunFilter(id={"any_": [run.id]}), "artifact_filter": ArtifactFilter()}
    artifacts = {artifact.key: artifact.data for artifact in api.read_artifacts(**only)}
    assert artifacts["progress-train-plain"] == 100
    assert f"# {len(stages)} ran" in artifacts["summary"] and "| train@plain | Ran |" in artifacts["summary"]
    metrics = json.loads((clone.root / "reports/metrics.json").read_text())
    table = {row["metric"]: row for row in json.loads(artifacts["metrics"])}
    assert table["val_accuracy.mean"]["plain"] == pytest.approx(metrics["plain"]["val_accuracy"]["mean"], rel=1e-4)

    clone.run(*REPRODUCE)
    _, tasks = last_run()
    assert states(tasks) == {f"{stage} (unchanged)": "Unchanged" for stage in stages}

    (clone.root / "models/plain.safetensors").unlink()
    (clone.root / ".dvc/tmp/rwlock").write_text("")  # as a DVC leaves it that was killed while it wrote it
    clone.run(*REPRODUCE)
    _, tasks = last_run()
    assert tasks["train@plain (cached)"].state.name == "Cached"
    assert tasks["train@residual (unchanged)"].state.name == "Unchanged"
    assert outputs(clone) == outputs(finished)


def test_runs_independent_stages_side_by_side_and_with_one_job_one_by_one(toy, pipeline):
    pipeline("""
        stages:
          meet:
            matrix: {me: [left, right], n: [1]}
            cmd: |
              echo ${item.me} $GRADFLOW_THREADS in >> order.log
              sleep 2
              echo ${item.me} $GRADFLOW_THREADS out >> order.log
              touch ${item.me}.txt
            outs: ["${item.me}.txt"]
        """)
    toy.run(*REPRODUCE, "--jobs", "2")
    first, second, *_ = (toy.root / "order.log").read_text().splitlines()
    assert {first, second} == {"left 1 in", "right 1 in"}

    (toy.root / "order.log").unlink()
    pipeline((toy.root / "dvc.yaml").read_text().replace("n: [1]", "n: [2]"))
    toy.run(*REPRODUCE, "--jobs", "1", GRADFLOW_THREADS="3")
    first, second, *_ = (toy.root / "order.log").read_text().splitlines()
    assert first.endswith("3 in") and second == first.replace("in", "out")


def test_what_a_stage_reads_from_standard_input_has_an_end(toy, pipeline):
    pipeline("stages: {read: {cmd: timeout 20 cat > read.txt, outs: [read.txt]}}")
    toy.run(*REPRODUCE)
    assert (toy.root / "read.txt").read_text() == ""


def test_a_failing_stage_stops_what_needs_it_and_nothing_else(toy, pipeline, last_run):
    pipeline("""
        stages:
          bad:
            cmd: "echo some line; echo gradflow: the disk is full; exit 1"
            outs: [bad.txt]
          after:
            cmd: touch after.txt
            deps: [bad.txt]
            outs: [after.txt]
          plain:
            cmd: "echo no such thing >&2; exit 3"
            outs: [plain.txt]
          good:
            cmd: sleep 3; touch good.txt
            outs: [good.txt]
        """)
    done = toy.run(*REPRODUCE, code=1)
    run, tasks = last_run()
    line = "bad: the disk is full; plain: no such thing (exit code 3)"
    assert run.state.name == "Failed"
    assert run.state.message.split("; ") in (line.split("; "), line.split("; ")[::-1])
    assert said(done.stderr) == [f"gradflow: {run.state.message}"]
    assert "Traceback" not in done.stdout + done.stderr
    assert tasks["bad (failed)"].state.message == "gradflow: the disk is full"
    assert tasks["bad (failed)"].run_count == 1
    assert tasks["good (ran)"].state.name == "Ran" and (toy.root / "good.txt").exists()
    assert tasks["after"].state.type.name == "PENDING" and not (toy.root / "after.txt").exists()


def test_bad_input_is_said_in_one_line_with_exit_code_2_and_never_tried_again(connected, last_run):
    before = outputs(connected)
    connected.change({"depth": -1})
    done = connected.run(*REPRODUCE, code=2)
    run, tasks = last_run()
    assert said(done.stderr) == ["gradflow: check: params.yaml: depth: must be >= 1, got -1"]
    assert run.state.message == "check: params.yaml: depth: must be >= 1, got -1"
    assert tasks["check (failed)"].state.message == "gradflow: params.yaml: depth: must be >= 1, got -1"
    assert tasks["check (failed)"].run_count == 1
    assert outputs(connected) == before


def test_a_folder_without_a_pipeline_is_refused_in_one_line(toy):
    from gradflow.guards.errors import InputError
    from pipelines import dag

    done = toy.run(*REPRODUCE, code=2)
    assert said(done.stderr) == [
        f"gradflow: dvc.yaml: DVC cannot read the pipeline: '{toy.root}/dvc.yaml' does not exist"
    ]
    assert "Traceback" not in done.stdout + done.stderr
    with pytest.raises(InputError, match="must lie in a DVC repository"):
        dag.root(toy.root.parent)


def test_a_folder_of_a_study_is_reproduced_with_what_it_needs_and_nothing_else(toy, pipeline, last_run):
    pipeline("""
        stages:
          needed: {cmd: echo 1 > needed.txt, outs: [needed.txt]}
          other: {cmd: echo 1 > other.txt, outs: [other.txt]}
        """)
    pipeline("stages: {own: {cmd: cp ../needed.txt own.txt, deps: [../needed.txt], outs: [own.txt]}}", "a study")
    toy.run(*REPRODUCE, "a study")
    _, tasks = last_run()
    assert set(tasks) == {"needed (ran)", "a study/dvc.yaml:own (ran)"}
    assert (toy.root / "a study/own.txt").exists() and not (toy.root / "other.txt").exists()


def test_a_project_inside_another_one_may_write_outside_its_own_folder(toy, pipeline, last_run):
    (toy.root / "studies").mkdir()
    within = replace(toy, root=toy.root / "studies")
    within.run("dvc", "init", "--quiet", "--subdir")
    pipeline("stages: {claims: {cmd: echo 1 > ../claims.md, outs: [../claims.md: {cache: false}]}}", "studies")
    toy.run(*REPRODUCE, "studies")
    run, _ = last_run()
    assert run.state.message == "1 ran" and (toy.root / "claims.md").read_text() == "1\n"


def test_a_stage_that_another_dvc_process_has_is_tried_again(toy, pipeline, started, eventually, last_run):
    pipeline(f"stages: {{slow: {{cmd: '{WAIT} touch slow.txt', outs: [slow.txt]}}}}")
    by_hand = started(toy, "dvc", "repro")
    eventually((toy.root / "in.log").exists)
    flow = started(toy, *REPRODUCE)
    eventually(lambda: "AwaitingRetry" in states(last_run()[1]).values())
    (toy.root / "go.log").touch()
    assert by_hand.wait() == 0 and flow.wait() == 0
    run, tasks = last_run()
    assert run.state.message == "1 unchanged"
    assert tasks["slow (unchanged)"].run_count > 1


def test_a_tracking_server_that_is_away_is_tried_again_and_the_tracked_run_linked(toy, pipeline, last_run, api):
    from prefect.client.schemas.filters import FlowRunFilter

    away = "http://127.0.0.1:1: does not answer; all results are kept, start the server, then `dvc repro` tracks them"
    page = "http://127.0.0.1:1/#/experiments/1/runs/0123456789abcdef"
    pipeline(f"""
        stages:
          track:
            cmd: >-
              if [ -e tried.log ]; then touch track.txt; echo 'tracked: {page}'; exit; fi;
              touch tried.log; echo 'gradflow: {away}'; exit 1
            outs: [track.txt]
        """)
    toy.run(*REPRODUCE)
    run, tasks = last_run()
    assert tasks["track (ran)"].run_count == 2
    artifacts = api.read_artifacts(flow_run_filter=FlowRunFilter(id={"any_": [run.id]}))
    found = {artifact.key: artifact.data for artifact in artifacts}
    assert found["mlflow-run"] == f"[Run in MLflow]({page})"
    assert page in found["summary"]


def test_a_second_run_waits_for_the_first_and_neither_does_the_work_twice(toy, pipeline, started, eventually, last_run):
    pipeline(f"stages: {{slow: {{cmd: '{WAIT} touch slow.txt', outs: [slow.txt]}}}}")
    first = started(toy, *REPRODUCE)
    eventually((toy.root / "in.log").exists)
    second = started(toy, *REPRODUCE)
    eventually(lambda: f"waiting: process {first.pid} is running in {toy.root}" in second.log.read_text())
    time.sleep(5)  # in which it would have asked DVC about the stage
    assert last_run()[1] == {}
    (toy.root / "go.log").touch()
    assert first.wait() == 0 and second.wait() == 0
    assert (toy.root / "in.log").read_text() == "in\n"


def test_killed_without_warning_it_leaves_no_process_and_the_next_run_completes(
    toy, pipeline, started, eventually, alive, processes_of_dvc
):
    pipeline(f"""
        stages:
          polite:
            cmd: '{SLEEP.format("polite")}'
            outs: [polite.txt]
          stubborn:  # Ctrl-C does not impress it
            cmd: 'trap "" INT TERM; echo $$ > stubborn.pid; sleep 600 & wait'
            outs: [stubborn.txt]
        """)
    flow = started(toy, *REPRODUCE, "--jobs", "2")
    pids = [eventually(lambda name=name: read_pid(toy, name)) for name in ("polite", "stubborn")]
    assert processes_of_dvc(toy)
    os.kill(flow.pid, signal.SIGKILL)
    eventually(lambda: not processes_of_dvc(toy))
    pipeline("stages: {polite: {cmd: echo done > polite.txt, outs: [polite.txt]}}")
    toy.run(*REPRODUCE)
    assert not any(alive(pid) for pid in pids)
    assert (toy.root / "polite.txt").read_text() == "done\n"
    assert toy.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_ctrl_c_ends_the_stages_and_says_so_in_one_line(
    toy, pipeline, started, eventually, alive, last_run, processes_of_dvc
):
    pipeline(f"stages: {{sleep: {{cmd: '{SLEEP.format('sleep')}', outs: [sleep.txt]}}}}")
    flow = started(toy, *REPRODUCE)
    pid = eventually(lambda: read_pid(toy, "sleep"))
    os.killpg(flow.pid, signal.SIGINT)
    assert flow.wait(timeout=30) == 1
    assert not alive(pid)
    assert not processes_of_dvc(toy)
    assert said(flow.log.read_text()) == ["gradflow: cancelled; the next run goes on after the stages that are done"]
    assert "Traceback" not in flow.log.read_text()
    assert last_run()[0].state.name == "Cancelled"
    assert json.loads((toy.root / ".dvc/tmp/rwlock").read_text()) in ({}, {"read": {}}, {"write": {}})


def test_a_run_started_by_hand_can_be_cancelled_through_the_server(
    toy, pipeline, started, eventually, alive, last_run, api
):
    from prefect.states import Cancelling

    pipeline(f"stages: {{sleep: {{cmd: '{SLEEP.format('sleep')}', outs: [sleep.txt]}}}}")
    flow = started(toy, *REPRODUCE)
    pid = eventually(lambda: read_pid(toy, "sleep"))
    run, _ = last_run()
    api.set_flow_run_state(run.id, Cancelling())
    eventually(lambda: api.read_flow_run(run.id).state.name == "Cancelled", seconds=30)
    assert flow.wait(timeout=30) == 1
    assert not alive(pid)


@pytest.fixture
def alone(toy, pipeline, tmp_path):
    """A toy of one stage that knows of no server, with a Prefect of its own."""
    pipeline("stages: {one: {cmd: touch one.txt, outs: [one.txt]}}")
    del toy.env["PREFECT_API_URL"]
    toy.env["PREFECT_HOME"] = str(tmp_path / "home")
    return toy


@pytest.mark.parametrize(
    "profile", ["", 'active = "own"\n[profiles.own]\n'], ids=["no profile", "one without a server"]
)
def test_works_without_a_server(alone, profile, tmp_path):
    if profile:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/profiles.toml").write_text(profile)
    done = alone.run(*REPRODUCE)
    assert (alone.root / "one.txt").exists()
    assert "Traceback" not in done.stdout + done.stderr and "ERROR" not in done.stdout + done.stderr


def test_a_proxy_is_not_asked_for_a_server_of_this_machine(toy, pipeline, proxy):
    pipeline("stages: {one: {cmd: 'echo $no_proxy > one.txt', outs: [one.txt]}}")
    toy.run(*REPRODUCE, http_proxy=proxy.address, HTTP_PROXY=proxy.address, no_proxy="intranet")
    assert (toy.root / "one.txt").read_text() == "intranet,127.0.0.1,localhost,::1\n"
    assert not proxy.asked


def test_a_server_that_cannot_keep_its_data_is_one_line_and_soon(alone):
    start = time.monotonic()
    done = alone.run(*REPRODUCE, code=1, PREFECT_HOME="/proc/nowhere")
    reason = "cannot be written (No such file or directory); set PREFECT_HOME to where Prefect can"
    assert done.stderr == f"gradflow: /proc/nowhere/server.log: {reason}\n" and done.stdout == ""
    assert time.monotonic() - start < 30


def test_a_server_that_does_not_start_is_one_line_and_soon(alone, tmp_path):
    start = time.monotonic()
    database = "sqlite+aiosqlite:////proc/nowhere/prefect.db"
    done = alone.run(*REPRODUCE, code=1, PREFECT_SERVER_DATABASE_CONNECTION_URL=database)
    log = tmp_path / "home/server.log"
    assert re.fullmatch(rf"gradflow: Prefect's server does not start at port \d+; {log} says why\n", done.stderr)
    assert "unable to open database file" in log.read_text()
    assert time.monotonic() - start < 60


def test_a_server_that_is_not_there_is_said_in_one_line(toy, free_port):
    address = f"http://127.0.0.1:{free_port()}/api"
    done = toy.run(*REPRODUCE, code=1, PREFECT_API_URL=address)
    assert done.stderr == f"gradflow: no Prefect server answers at {address}; start it, or unset PREFECT_API_URL\n"


REFUSED = "fatal: detected dubious ownership in repository at"


def test_where_git_refuses_its_own_line_is_passed_on_and_the_run_goes_on(toy, pipeline):
    """As in a container, where the checkout belongs to another user."""
    pipeline("stages: {one: {cmd: touch one.txt, outs: [one.txt]}}")
    done = toy.run(sys.executable, "-m", "pipelines.mend", GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert done.stderr.startswith(f"gradflow: no dvc.lock can be checked or mended: git: {REFUSED}")
    assert done.stderr.count("\n") == 1
    done = toy.run(*REPRODUCE, GIT_TEST_ASSUME_DIFFERENT_OWNER="1")
    assert (toy.root / "one.txt").exists()
    assert (done.stdout + done.stderr).count(REFUSED) == 1


def test_an_unpacked_archive_runs_without_git(toy, pipeline):
    pipeline("stages: {one: {cmd: touch one.txt, outs: [one.txt]}}")
    shutil.rmtree(toy.root / ".git")
    (toy.root / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")  # else DVC itself refuses
    no_git = {"PATH": str(Path(sys.executable).parent)}
    for env, reason in (({}, "fatal: not a git repository"), (no_git, "is not installed")):
        done = toy.run(sys.executable, "-m", "pipelines.mend", **env)
        assert done.stderr.startswith(f"gradflow: no dvc.lock can be checked or mended: git: {reason}")
        assert done.stderr.count("\n") == 1
    toy.run(*REPRODUCE)
    assert (toy.root / "one.txt").exists()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("reproduce", ("FOLDER", "--jobs", "dvc repro")),
        ("sweep", ("KEY=VALUE", "--jobs", "--folder", "--output", "--dry-run")),
        ("schedule", ("--port", "--file", "prefect.yaml", "Ctrl-C")),
    ],
)
def test_help_says_what_there_is(module, words):
    text = CliRunner().invoke(import_module(f"pipelines.{module}").main, ["--help"]).output
    assert all(word in text for word in words)


def read_pid(project, name):
    path = project.root / f"{name}.pid"
    return int(path.read_text()) if path.exists() and path.read_text().strip() else None


def test_many_stages_that_end_at_once_are_all_accounted_for(toy, pipeline, last_run):
    (toy.root / "seen.txt").write_text("")
    pipeline(f"""
        stages:
          one:
            foreach: {[*range(100)]}
            do:
              cmd: echo ${{item}}
              deps: [seen.txt]
    """)
    toy.run("dvc", "commit", "--force")  # as if all had run
    toy.run(*REPRODUCE)
    run, tasks = last_run()
    assert (run.state.name, run.state.message) == ("Completed", "100 unchanged")
    assert set(states(tasks).values()) == {"Unchanged"}
