"""Schedules: what `make schedule` starts, seen through its API and in a browser, and how it ends."""

import datetime
import os
import re
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
SCHEDULE = (sys.executable, "-m", "pipelines.schedule")


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def scheduled(project, prefect_env, tmp_path):
    """A finished project with a Prefect of its own."""
    return replace(project, env=prefect_env | {"PREFECT_HOME": str(tmp_path / "prefect home")})


def due_soon(project):
    """Schedule the nightly run for a minute that begins when the server has had time to start."""
    due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=150)
    document = yaml.safe_load((project.root / "prefect.yaml").read_text())
    document["deployments"][0]["schedules"] = [{"cron": f"{due.minute} {due.hour} * * *", "timezone": "UTC"}]
    (project.root / "prefect.yaml").write_text(yaml.safe_dump(document))


@pytest.fixture
def connect():
    """A client of the server on a port."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    def open_client(port):
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}):
            return get_client(sync_client=True)

    return open_client


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def test_a_schedule_fires_can_be_seen_and_cancelled_and_stays_as_it_was_after_a_restart(
    scheduled, started, free_port, connect, eventually, page, alive, reachable, tmp_path
):
    from prefect.client.schemas.filters import ArtifactFilter, FlowRunFilter
    from prefect.states import Cancelling

    finished = (scheduled.root / "dvc.lock").read_text()
    due_soon(scheduled)
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    schedule = started(scheduled, *SCHEDULE, "--port", port)
    eventually(lambda: f"{site}/api" in schedule.log.read_text(), seconds=150)
    assert reachable(port) == {"127.0.0.1"}
    with connect(port) as api:
        deployments = eventually(lambda: served(api) if len(served(api)) == 3 else None)
        assert set(deployments) == {"nightly-reproduce", "weekly-depth-sweep", "deploy-champion"}
        assert all(one.global_concurrency_limit.limit == 1 for one in deployments.values())
        nightly = deployments["nightly-reproduce"].id

        # A long training, cancelled through the API
        scheduled.change({"train.epochs": 30_000})
        cancelled = api.create_flow_run_from_deployment(nightly)
        eventually(lambda: re.search(r"plain: epoch \d", schedule.log.read_text()), seconds=150)
        scheduled.run("git", "checkout", "--quiet", "params.yaml")
        children = descendants(schedule.pid)
        assert any("stages.train" in command for command in children.values())
        api.set_flow_run_state(cancelled.id, Cancelling())
        eventually(lambda: api.read_flow_run(cancelled.id).state.name == "Cancelled", seconds=30)
        assert not [command for pid, command in children.items() if alive(pid) and "stages." in command]

        # The next run completes with the right results, and so does the scheduled one
        run = api.create_flow_run_from_deployment(nightly)
        run = eventually(lambda: final(api, run.id), seconds=150)
        assert run.state.name == "Completed", run.state.message
        run = eventually(lambda: next((r for r in api.read_flow_runs() if r.auto_scheduled and r.end_time), None), 300)
        assert run.state.name == "Completed", run.state.message
        assert (scheduled.root / "dvc.lock").read_text() == finished
        assert '"pid"' not in (scheduled.root / ".dvc/tmp/rwlock").read_text()

        (summary,) = api.read_artifacts(
            artifact_filter=ArtifactFilter(key={"any_": ["summary"]}),
            flow_run_filter=FlowRunFilter(id={"any_": [run.id]}),
        )
        # Prefect's server writes down what became of tasks a moment after their run has ended.
        stages = set(yaml.safe_load(finished)["stages"])
        tasks = eventually(lambda: complete(tasks_of(api, run.id), stages))
        look_at(page, site, run.id, summary.id, [task.name for task in tasks], tmp_path)

        api.pause_deployment(deployments["weekly-depth-sweep"].id)

    before = len(schedule.log.read_text())  # Prefect's server may have met its database locked, and tried again
    os.killpg(schedule.pid, signal.SIGINT)
    assert schedule.wait(timeout=60) == 0
    assert not answers(port)
    assert "Traceback" not in schedule.log.read_text()[before:]

    again = started(scheduled, *SCHEDULE, "--port", port)
    eventually(lambda: f"{site}/api" in again.log.read_text(), seconds=150)
    with connect(port) as api:
        eventually(api.read_flow_runs, seconds=60)
        for name, deployment in eventually(lambda: served(api)).items():
            (one,) = deployment.schedules
            assert one.active and deployment.paused is (name == "weekly-depth-sweep")
    assert "sweep/weekly-depth-sweep" in again.log.read_text() and again.log.read_text().count("(paused)") == 1
    os.kill(again.pid, signal.SIGTERM)  # as a service manager does
    again.wait(timeout=60)
    eventually(lambda: not answers(port))


def tasks_of(api, run):
    from prefect.client.schemas.filters import FlowRunFilter

    return api.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [run]}))


def complete(tasks, stages):
    """The tasks, once each has the name of its stage."""
    return tasks if {task.name.split()[0] for task in tasks} == stages else None


def test_a_password_of_the_schedules_server_is_asked_for_and_repeated_nowhere(
    scheduled, started, free_port, eventually
):
    port, secret = free_port(), "somebody:hush-hush"
    site = f"http://127.0.0.1:{port}"
    auth = {"PREFECT_SERVER_API_AUTH_STRING": secret, "PREFECT_API_AUTH_STRING": secret}
    schedule = started(scheduled, *SCHEDULE, "--port", port, **auth)
    eventually(lambda: f"{site}/api" in schedule.log.read_text(), seconds=150)

    def deployments(*auth):
        return httpx.post(f"{site}/api/deployments/count", json={}, auth=auth or None)

    assert deployments().status_code == 401
    assert deployments("somebody", "guessed").status_code == 401
    registered = len(yaml.safe_load((scheduled.root / "prefect.yaml").read_text())["deployments"])
    eventually(lambda: deployments("somebody", "hush-hush").json() == registered)  # it could register them itself
    assert "hush" not in schedule.log.read_text()
    assert not [command for command in descendants(schedule.pid).values() if "hush" in command]


def look_at(page, site, run, summary, tasks, folder):
    """What a person sees of the run; the screenshots lie in the test's folder."""
    page.goto(f"{site}/deployments")
    page.get_by_text("weekly-depth-sweep").first.wait_for()
    page.get_by_text("nightly-reproduce").first.wait_for()
    page.screenshot(path=folder / "deployments.png")
    page.goto(f"{site}/runs/flow-run/{run}")
    page.locator("canvas").first.wait_for()
    page.get_by_text("Task Runs", exact=True).first.click()
    for task in tasks:  # in the list: the graph is a picture
        page.get_by_text(task).first.wait_for()
    page.screenshot(path=folder / "run.png")
    page.goto(f"{site}/artifacts/artifact/{summary}")
    page.get_by_role("cell", name="train@residual").first.wait_for()
    page.screenshot(path=folder / "artifact.png", full_page=True)


def served(api):
    from prefect.client.schemas.filters import DeploymentFilter

    return {one.name: one for one in api.read_deployments(deployment_filter=DeploymentFilter())}


def final(api, identifier):
    run = api.read_flow_run(identifier)
    return run if run.state.is_final() else None


def descendants(pid):
    """Process to command of all that a process has started, in other sessions too."""
    found, parents = {}, {pid}
    table = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            table[int(folder.name)] = parent, (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    while parents:
        children = {child: command for child, (parent, command) in table.items() if parent in parents}
        found |= children
        parents = set(children)
    return found


def test_the_deployments_of_this_project_can_be_served():
    from pipelines.schedule import deployments

    found = {one.name: one for one in deployments(CHECKOUT / "prefect.yaml")}
    assert set(found) == {"nightly-reproduce", "weekly-depth-sweep", "deploy-champion"}
    assert found["weekly-depth-sweep"].parameters == {"grid": ["depth=10,20,40"]}
    for one in found.values():
        assert one.schedules[0].schedule.timezone == "Europe/London"
        assert one.concurrency_limit == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda one: one.pop("entrypoint"), "deployments: each must have 'entrypoint'"),
        (lambda one: one["schedules"][0].update(cron="daily"), "cron"),
        (lambda one: one["schedules"][0].update(when="daily"), "when"),
        (lambda one: one["schedules"][0].update(timezone="Mars/Olympus"), "Mars/Olympus"),
    ],
)
def test_a_deployment_that_cannot_work_is_refused_in_one_line(change, line, tmp_path, monkeypatch):
    from gradflow.guards.errors import InputError
    from pipelines.schedule import deployments

    monkeypatch.chdir(CHECKOUT)
    document = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
    change(document["deployments"][0])
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=re.escape(line)) as caught:
        deployments(tmp_path / "prefect.yaml")
    assert "\n" not in caught.value.message


def test_a_schedule_that_was_switched_off_stays_off_and_a_changed_one_is_as_what_it_replaces(api):
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Schedule

    from pipelines.schedule import keep_paused

    def apply(*crons):
        deployment = RunnerDeployment(
            name="switched", flow_name="toy", entrypoint="toy.py:toy", schedules=[Schedule(cron=cron) for cron in crons]
        )
        keep_paused([deployment])
        deployment.apply(_sync=True)
        found = api.read_deployment_by_name("toy/switched").schedules
        return {one.schedule.cron: one for one in found}

    both = apply("0 1 * * *", "0 2 * * *")
    assert all(one.active for one in both.values())
    off = both["0 1 * * *"]
    api.update_deployment_schedule(off.deployment_id, off.id, active=False)
    assert {cron: one.active for cron, one in apply("0 1 * * *", "0 2 * * *").items()} == {
        "0 1 * * *": False,
        "0 2 * * *": True,
    }
    assert not apply("0 1 * * *")["0 1 * * *"].active
    assert not apply("0 3 * * *")["0 3 * * *"].active
    assert apply() == {} and apply("0 3 * * *")["0 3 * * *"].active


def test_no_port_is_taken_by_a_proxy(proxy, free_port, monkeypatch):
    from pipelines import server

    monkeypatch.setenv("no_proxy", "intranet")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", proxy.address)
    server.ask_no_proxy()
    assert not server.answers(free_port())
    assert not proxy.asked


def test_a_port_that_is_taken_is_refused_in_one_line(connected, server):
    port = int(server.split(":")[2].split("/")[0])
    done = connected.run(*SCHEDULE, "--port", port, code=1)
    assert done.stderr == f"gradflow: port {port} is taken, name another: make schedule PORT={port + 1}\n"
