"""reproduce: what ``dvc repro`` does, with independent stages side by side and each of them in sight."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import click
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.exceptions import CancelledRun
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import Task
from pydantic import Field

from gradflow.errors import InputError, RunError
from pipelines import checkout, dag, outcome, report
from pipelines.cancellation import all_finished
from pipelines.outcome import Kind, Outcome
from pipelines.processes import Processes, RunEndedError
from pipelines.progress import Progress
from pipelines.slots import Slots


@dataclass
class Run:
    """What the tasks of one flow run share.

    Attributes:
        root: Folder of the DVC repository.
        processes: Starts commands that end with the run.
        slots: Where stages run.
        outcomes: Address of a finished stage to its outcome.
    """

    root: Path
    processes: Processes
    slots: Slots
    outcomes: dict[str, Outcome] = field(default_factory=dict)


def can_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task is worth another try: a lock or a server that is busy, never bad input."""
    return state.name == Kind.BUSY


@task(
    task_run_name="{node.address}",
    cache_policy=NO_CACHE,  # DVC's is the only cache
    retries=3,
    retry_delay_seconds=[1, 4, 10],
    retry_condition_fn=can_pass,
)
def stage(node: dag.Node, run: Run) -> State[None]:
    """Bring one stage up to date."""
    if not node.changed and all(run.outcomes[other].kind == Kind.UNCHANGED for other in node.upstream):
        result = Outcome(Kind.UNCHANGED)
    else:
        try:
            result = _repro(node.address, run)
        except RunEndedError:
            return Cancelled()
    run.outcomes[node.address] = result
    return as_state(node.address, result)


def _repro(address: str, run: Run) -> Outcome:
    """Let DVC bring a stage up to date, in a slot."""
    log, progress = get_run_logger(), Progress(address)
    worth_logging = True

    def on_line(line: str) -> None:
        nonlocal worth_logging
        worth_logging &= not line.startswith("To track the changes with git")  # DVC's parting advice
        if line and worth_logging:
            log.info("%s", line)
        progress.follow(line)

    with run.slots.taken() as share:
        start = time.monotonic()
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", address]
        code, lines = run.processes.run(command, run.root, share, on_line)
        return replace(outcome.of_repro(code, lines), seconds=time.monotonic() - start)


def as_state(name: str, result: Outcome) -> State[None]:
    """The final state of the task run, which is renamed so that the graph tells it too."""
    context = TaskRunContext.get()
    assert context is not None
    context.task_run.name = f"{name} ({result.kind.lower()})"
    make = Failed if result.kind.failed else Completed
    return make(name=result.kind.value, message=result.line or None)


@flow(name="reproduce", flow_run_name="reproduce {folder}", task_runner=ThreadPoolTaskRunner())  # type: ignore[arg-type]  # its future is a PrefectFuture
def reproduce(folder: Path = Path(), jobs: Annotated[int, Field(ge=1)] | None = None) -> State[Any]:
    """Bring the pipeline of a folder up to date.

    Args:
        folder: Where its dvc.yaml lies.
        jobs: Stages that run at once; default: one a GPU, else one a core.
    """
    try:
        root = dag.root(folder)
        with checkout.alone(root, get_run_logger().warning) as lock, Processes(lock) as processes:
            plan = dag.read(folder)
            run = Run(root, processes, Slots.of_machine(jobs))
            futures: dict[str, PrefectFuture[Any]] = {}
            for node in plan.nodes:
                upstream = [futures[other] for other in node.upstream]
                futures[node.address] = stage.submit(node, run, return_state=False, wait_for=upstream)
            if not all_finished(list(futures.values())):
                return Cancelled(message="Cancelled")
            report.publish(folder, plan, run.outcomes)
    except RunError as error:
        return Failed(message=error.message, data=error)
    failure = _joined(run.outcomes)
    if failure:
        return Failed(message=failure.message, data=failure)
    return Completed(message=report.counts(run.outcomes.values()))


def _joined(outcomes: Mapping[str, Outcome]) -> RunError | None:
    """The failures of a run in one line, if there are any; an InputError if none but the input is to blame."""
    failed = {address: result for address, result in outcomes.items() if result.kind.failed}
    line = "; ".join(f"{address}: {result.line.removeprefix('gradflow: ')}" for address, result in failed.items())
    if failed and all(result.code == InputError.exit_code for result in failed.values()):
        return InputError(*line.split(": ", 1))
    return RunError(line) if failed else None


@click.command(context_settings={"show_default": True})
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path())
@click.option("--jobs", type=click.IntRange(min=1), help="Stages that run at once.  [default: one a GPU, else a core]")
def main(folder: Path, jobs: int | None) -> None:
    """Bring the pipeline of FOLDER (its dvc.yaml) up to date, independent stages side by side."""
    try:
        reproduce(folder, jobs)
    except CancelledRun:
        raise RunError("cancelled; the next run goes on from the stages that are done") from None


if __name__ == "__main__":
    main()
