"""sweep: a grid of parameters, each point a DVC experiment in a copy of its own, several at once."""

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import click
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from gradflow.files.writing import write_text
from gradflow.guards.errors import RunError
from pipelines import checkout, dag, experiments, outcome, report
from pipelines.cancellation import all_finished
from pipelines.experiments import Point
from pipelines.outcome import Kind, Outcome
from pipelines.processes import Processes, RunEndedError
from pipelines.progress import Progress
from pipelines.run import Run, by_hand, can_pass, failure
from pipelines.slots import Slots


@task(
    task_run_name="{point.label}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 4, 10],
    retry_condition_fn=can_pass,
)
def experiment(point: Point, run: Run) -> State[None]:
    """Run one point of the grid, unless it has been."""
    if point.present:
        return run.end(point.label, Outcome(Kind.PRESENT))
    arguments = ["exp", "run", "--temp", "--name", point.name]
    arguments += [f"--set-param={override}" for override in point.overrides]
    follow = Progress(point.name).follow
    try:
        result = run.dvc(arguments, run.folder, follow, outcome.of_experiment)
    except RunEndedError:
        return Cancelled()
    return run.end(point.label, result)


def _run_name() -> str:
    return f"sweep {' '.join(flow_run.parameters['grid'])}"


@flow(name="sweep", flow_run_name=_run_name)
def sweep(
    grid: Annotated[list[str], Field(min_length=1)],
    folder: Path = Path(),
    jobs: Annotated[int, Field(ge=1)] | None = None,
    output: Path | None = None,
) -> State[Any]:
    """Run every point of a grid that has not been run for this state of the checkout.

    Args:
        grid: Keys of params.yaml with their values: ``["depth=10,20,40", "variants.residual.scale=0.2,0.7"]``.
        folder: Where the pipeline's dvc.yaml lies.
        jobs: Points that run at once; default: one a GPU, else one a core.
        output: CSV file for the table of results; default: reports/sweeps/KEYS.csv.
    """
    try:
        root, slots = dag.root(folder), Slots.of_machine(jobs)
        with (
            checkout.alone(root, get_run_logger().warning) as lock,
            ThreadPoolTaskRunner[Any](len(slots.shares)) as runner,  # a point that has no slot has not started
            Processes(lock) as processes,
        ):
            points = experiments.points(folder, grid)
            run = Run(folder, root, processes, slots)
            futures = [runner.submit(experiment, {"point": point, "run": run}) for point in points]
            if not all_finished(futures):
                return Cancelled(message="Cancelled")
            table = experiments.table(folder, points, run.outcomes)
    except RunError as error:
        return Failed(message=error.message, data=error)
    write(output or root / "reports" / "sweeps" / f"{experiments.title(root, folder, grid)}.csv", table)
    create_table_artifact(report.rounded(table), key="sweep", description=" ".join(grid))
    failed = failure(run.outcomes)
    if failed:
        bad = sum(result.kind.failed for result in run.outcomes.values())
        failed = RunError(f"{bad} of {len(points)} points failed: {failed.message}")
        return Failed(message=failed.message, data=failed)
    return Completed(message=report.counts(run.outcomes, len(points)))


def write(path: Path, table: list[dict[str, Any]]) -> None:
    """Write a table as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())


@click.command()
@click.argument("grid", metavar="KEY=VALUE,VALUE...", nargs=-1, required=True)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="Where the pipeline's dvc.yaml lies.  [default: here]",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Points that run at once.  [default: one a GPU, else a core]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Table of results, CSV.  [default: reports/sweeps/KEYS.csv]",
)
@click.option("--dry-run", is_flag=True, help="List the points and run none.")
def main(grid: tuple[str, ...], folder: Path, jobs: int | None, output: Path | None, dry_run: bool) -> None:
    r"""Run every combination of the values, each as a DVC experiment in a copy of its own.

    \b
    python -m pipelines.sweep depth=10,20,40 variants.residual.scale=0.2,0.7

    A point that has been run for this state of the checkout is skipped, so an interrupted sweep goes on where
    it was. The workspace is never touched; see the experiments with `dvc exp show`.
    """
    if dry_run:
        for point in experiments.points(folder, grid):
            click.echo(f"{'present' if point.present else 'to run ':<8} {point.name}  {' '.join(point.overrides)}")
        return
    with by_hand(if_cancelled="cancelled; the next run goes on with the points that are missing"):
        sweep(list(grid), folder, jobs, output)


if __name__ == "__main__":
    main()
