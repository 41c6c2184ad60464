"""reproduce: what ``dvc repro`` does, with independent stages in parallel and each of them visible in Prefect."""

from pathlib import Path
from typing import Annotated, Any

import click
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote
from pydantic import Field

from gradflow.guards.errors import RunError
from pipelines import checkout, dag, outcome, report
from pipelines.cancellation import all_finished
from pipelines.outcome import Kind, Outcome
from pipelines.processes import Processes, RunEndedError
from pipelines.progress import Progress
from pipelines.run import Run, by_hand, can_pass, check_all_ran, failure
from pipelines.slots import Slots


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
        return run.end(node.address, Outcome(Kind.UNCHANGED))
    follow = Progress(node.address).follow
    try:
        result = run.dvc(["repro", "--single-item", node.address], run.root, follow, outcome.of_repro)
    except RunEndedError:
        return Cancelled()
    return run.end(node.address, result)


def _run_name() -> str:
    return f"reproduce {Path(flow_run.parameters['folder']).resolve().name}"


@flow(name="reproduce", flow_run_name=_run_name, task_runner=ThreadPoolTaskRunner())  # type: ignore[arg-type]  # its future is a PrefectFuture
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
            run = Run(folder, root, processes, Slots.of_machine(jobs))
            futures: dict[str, PrefectFuture[Any]] = {}
            for node in plan.nodes:
                upstream = [futures[other] for other in node.upstream]
                # Quoted: Prefect would search it for futures while other tasks note their outcomes in it.
                futures[node.address] = stage.submit(node, quote(run), return_state=False, wait_for=upstream)
            if not all_finished(list(futures.values())):
                return Cancelled(message="Cancelled")
            report.publish(run, plan)
            if not (failed := failure(run.outcomes)):
                check_all_ran(run.outcomes, futures)
    except RunError as error:
        return Failed(message=error.message, data=error)
    if failed:
        return Failed(message=failed.message, data=failed)
    return Completed(message=report.counts(run.outcomes, len(plan.nodes)))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path())
@click.option("--jobs", type=click.IntRange(min=1), help="Stages that run at once.  [default: one a GPU, else a core]")
def main(folder: Path, jobs: int | None) -> None:
    """Bring the pipeline of FOLDER (default: here) up to date, independent stages side by side.

    What depends on what is read from DVC, which is also asked to run each stage: the results, dvc.lock and
    the cache are those of `dvc repro`.
    """
    with by_hand(if_cancelled="cancelled; the next run goes on after the stages that are done"):
        reproduce(folder, jobs)


if __name__ == "__main__":
    main()
