"""sweep: a grid of parameters, or a search; each point a DVC experiment in a copy of its own, several at once."""

import base64
import csv
import io
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, chdir
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import click
from prefect import allow_failure, flow, get_run_logger, task
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote
from pydantic import Field

from gradflow.drawing import style
from gradflow.files.writing import write_text
from gradflow.guards.errors import InputError, RunError, shown
from gradflow.tracking import environment, origin
from pipelines import checkout, cluster, dag, experiments, findings, outcome, refs, report
from pipelines.cancellation import all_finished
from pipelines.experiments import Point
from pipelines.outcome import Kind, Outcome
from pipelines.processes import Processes, RunEndedError
from pipelines.progress import Progress
from pipelines.run import Run, by_hand, can_pass, check_all_ran, failure
from pipelines.slots import Slots

if TYPE_CHECKING:  # Optuna, which no grid needs
    from pipelines.search import Search

DPI = 150
_WAITING = 256  # points of a cluster that are waited for at once, each by a thread
_TRACKS = "track"  # the stage of pipelines whose results go to MLflow
METRIC = "residual.val_loss.mean"
TRIALS = 20


@task(
    task_run_name="{point.label}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[1, 4, 10],
    retry_condition_fn=can_pass,
)
def experiment(point: Point, run: Run, take: Callable[[Point], Outcome]) -> State[None]:
    """Run one point of the grid, here or elsewhere, unless it has been."""
    if point.present:
        return run.end(point.label, Outcome(Kind.PRESENT))
    try:
        return run.end(point.label, take(point))
    except RunEndedError:
        return Cancelled()


def in_a_copy(run: Run, point: Point) -> Outcome:
    """Run a point on this machine, in a copy of the checkout."""
    arguments = ["exp", "run", "--temp", "--name", point.name]
    arguments += [f"--set-param={override}" for override in point.overrides]
    return run.dvc(arguments, run.folder, Progress(point.name).follow, outcome.of_experiment)


def _run_name() -> str:
    return f"sweep {' '.join(flow_run.parameters['grid'])}"


@flow(name="sweep", flow_run_name=_run_name)
def sweep(
    grid: Annotated[list[str], Field(min_length=1)],
    folder: Path = Path(),
    jobs: Annotated[int, Field(ge=1)] | None = None,
    output: Path | None = None,
    ray: str | None = None,
    search: Literal["optuna"] | None = None,
    trials: int = TRIALS,
    metric: str = METRIC,
    seed: int = 0,
) -> State[Any]:
    """Run every point of a grid, or so many of a search, that has not been run for this state of the checkout.

    Args:
        grid: Keys of params.yaml with their values: ``["depth=10,20,40", "variants.residual.scale=0.2,0.7"]``. Of a
            search with their ranges: ``["train.lr=tag(log,interval(0.001,1))"]``.
        folder: Where the pipeline's dvc.yaml lies.
        jobs: Points that run at once; default: one a GPU, else one a core.
        output: CSV file for the table of results, with the figure beside it; default: one in reports/sweeps/ whose name
            no other sweep has.
        ray: Address of a Ray cluster whose machines run the points; default: this machine does.
        search: Who chooses the points, each from what came out of those before; default: the grid does.
        trials: Of a search, how many points there shall be, with those that have been run.
        metric: Of a search, what to make small, as the table's column is called.
        seed: Of a search.
    """
    try:
        if output and output.suffix != ".csv":  # the figure beside it may have any other ending
            raise InputError("output", f"must end in .csv, got {shown(str(output))}")
        root, slots = dag.root(folder), Slots([]) if ray else Slots.of_machine(jobs)
        if ray and jobs:
            raise InputError(
                "--jobs", "must be left out with --ray, whose machines have room for as many as they have CPUs"
            )
        with ExitStack() as stack:
            lock = stack.enter_context(checkout.alone(root, get_run_logger().warning))
            before = experiments.state(folder) if ray else ""
            hunt = _search(folder, grid, trials, metric, seed, shared=bool(ray)) if search else None
            points = [] if hunt else experiments.points(folder, grid, shared=bool(ray))
            # A point that has no slot has not started.
            runner = stack.enter_context(ThreadPoolTaskRunner[Any](_WAITING if ray else len(slots.shares)))
            run = Run(folder, root, stack.enter_context(Processes(lock)), slots)
            there = stack.enter_context(cluster.connected(ray, folder, before)) if ray else None
            take = there.run if there else partial(in_a_copy, run)
            futures: dict[Point, PrefectFuture[Any]] = {}

            def start(point: Point, ahead: list[Point]) -> None:
                wait_for = [] if there else [allow_failure(futures[other]) for other in ahead]
                arguments = {"point": point, "run": quote(run), "take": quote(take)}
                futures[point] = runner.submit(experiment, arguments, wait_for)  # type: ignore[arg-type]  # may be annotated

            if hunt:
                at_once = there.room if there else len(slots.shares)
                ended = follow(hunt, at_once, run, futures, start, root if there else None)
                points = [trial.point for trial in hunt.trials.values()]
            else:
                for point, ahead in experiments.in_order(folder, points):
                    start(point, ahead)
                ended = all_finished(list(futures.values()))
            if not ended:
                return Cancelled(message="Cancelled")
            check_all_ran(run.outcomes, {point.label: future for point, future in futures.items()})
            done = [point.name for point in points if not run.outcomes[point.label].kind.failed]
            if there:
                bring(root, done)
            metrics = experiments.metrics(folder, done)
        name = experiments.title(root, folder, grid, hunt.identity if hunt else [point.name for point in points])
        path = output or root / "reports" / "sweeps" / f"{name}.csv"
        files = publish(path, grid, points, run.outcomes, metrics, hunt)
        failed = failure(run.outcomes)
        if failed:
            bad = sum(result.kind.failed for result in run.outcomes.values())
            failed = RunError(f"{bad} of {len(points)} points failed: {failed.message}")
        try:
            track_where_tracked(name, grid, files, folder)
        except RunError as error:
            failed = failed or error
    except RunError as error:
        failed = error
    if failed:
        return Failed(message=failed.message, data=failed)
    return Completed(message=report.counts(run.outcomes, len(points)))


def _search(folder: Path, grid: list[str], trials: int, metric: str, seed: int, *, shared: bool) -> "Search":
    from pipelines.search import Search  # noqa: PLC0415  # Optuna, which no grid needs

    return Search(folder, grid, metric=metric, trials=trials, seed=seed, shared=shared)


def follow(
    search: "Search",
    at_once: int,
    run: Run,
    futures: Mapping[Point, PrefectFuture[Any]],
    start: Callable[[Point, list[Point]], None],
    remote: Path | None,
) -> bool:
    """Run the points of a search until there are enough.

    A point is asked for when all are known but the ``at_once - 1`` before it, however fast they are: so the same ones
    follow each time.

    Args:
        search: What is known, and the next point.
        at_once: Points that run at once.
        run: Gets their outcomes.
        futures: Where ``start`` puts each point.
        start: Starts a point behind others.
        remote: The repository into which a point's result is to be brought from the git remote, if it is there.

    Returns:
        False as soon as the run is cancelled.
    """
    for trial in search.trials.values():
        start(trial.point, [])
    running: deque[Point] = deque()
    while True:
        while len(running) < at_once and (point := search.ask()):
            start(point, dict(experiments.in_order(run.folder, [*running, point]))[point])
            running.append(point)
        if not running:
            return all_finished(list(futures.values()))
        point = running.popleft()
        if not all_finished([futures[point]]):
            return False
        check_all_ran(run.outcomes, {point.label: futures[point]})
        failed = run.outcomes[point.label].kind.failed
        if remote and not failed:
            bring(remote, [point.name])
        search.tell(point, None if failed else experiments.metrics(run.folder, [point.name])[point.name])


def bring(root: Path, names: list[str]) -> None:
    """Fetch experiments from the git remote by their names."""
    refs.bring(root, [one for one in refs.on_remote(root) if one.name in set(names)])


def publish(
    path: Path,
    grid: list[str],
    points: list[Point],
    outcomes: Mapping[str, Outcome],
    metrics: findings.Metrics,
    search: "Search | None" = None,
) -> list[Path]:
    """Write the table and the figure beside it, say what they are and where, and show both in Prefect's pages.

    Returns:
        Their files.

    Raises:
        RunError: A file cannot be written.
    """
    best = search.best if search else None
    marks = {point.name: {"best": "*" * bool(best and point == best.point)} for point in points if search}
    table = experiments.table(points, outcomes, metrics, marks)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    write_text(path, text.getvalue())
    create_table_artifact(report.rounded(table), key="sweep", description=" ".join(grid))
    click.echo(f"{findings.printed(points, outcomes, metrics, marks)}\ntable: {path}")
    caption = f"Sweep {' '.join(grid)}; all else as in the checkout. Numbers and names of the experiments: {path.name}."
    figure = findings.searched(search, caption) if search else findings.drawn(points, metrics, caption)
    files = [path]
    if figure:
        style.save(figure, path, DPI)
        png = path.with_suffix(".png")
        data = base64.b64encode(png.read_bytes()).decode("ascii")  # a page of a server cannot show a file
        create_image_artifact(f"data:image/png;base64,{data}", key="figure", description=png.name)
        click.echo(f"figure: {png}")
        files += [png, path.with_suffix(".svg")]
    if search and best:
        click.echo(f"best: {search.metric} {best.value:.4g} at {best.point.label}; dvc exp apply {best.point.name}")
    return files


def track_where_tracked(name: str, grid: list[str], files: list[Path], folder: Path) -> None:
    """Log table and figure in MLflow if the pipeline has the stage track, where the runs of the points are.

    Raises:
        RunError: The store cannot be used.
    """
    if not any(node.address == _TRACKS for node in dag.read(folder).nodes):
        return
    environment.prepare()
    from gradflow.tracking import runs, store  # noqa: PLC0415  # they import MLflow, which no other command here needs

    files = [path.absolute() for path in files]
    with chdir(folder):
        where = store.find()
        done = runs.track_sweep(name, " ".join(grid), files, origin.Origin(origin.head(Path.cwd())), where)
    click.echo(f"tracked: {where.page(done.experiment, done.run)}")


grid_argument = click.argument("grid", metavar="KEY=VALUE,VALUE...", nargs=-1, required=True)
folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="Where the pipeline's dvc.yaml lies.  [default: here]",
)


@click.command(epilog="Example: python -m pipelines.sweep depth=10,20,40 variants.residual.scale=0.2,0.7")
@grid_argument
@folder_option
@click.option("--jobs", type=click.IntRange(min=1), help="Points that run at once.  [default: one a GPU, else a core]")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Table of results, CSV; the figure goes beside it.  [default: a new one in reports/sweeps]",
)
@click.option(
    "--ray", metavar="ADDRESS", help="Run the points on the machines of this Ray cluster, e.g. 10.0.0.1:6379."
)
@click.option("--dry-run", is_flag=True, help="List the points and run none.")
@click.option(
    "--search",
    type=click.Choice(["optuna"]),
    help="Choose each point from what came out of those before, e.g. 'train.lr=tag(log,interval(0.001,1))'.",
)
@click.option("--trials", type=int, default=TRIALS, show_default=True, help="Points of a search, with those there are.")
@click.option(
    "--metric", default=METRIC, show_default=True, help="What a search makes small: a number of metrics.json."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of a search: the same one, the same points.")
def main(
    grid: tuple[str, ...],
    folder: Path,
    jobs: int | None,
    output: Path | None,
    ray: str | None,
    dry_run: bool,
    search: Literal["optuna"] | None,
    trials: int,
    metric: str,
    seed: int,
) -> None:
    """Run every combination of the values, each as a DVC experiment in a copy of its own.

    A point that has been run for this state of the checkout is skipped, so an interrupted sweep goes on where
    it was. The workspace is never touched; see the experiments with `dvc exp show`.
    """
    if dry_run:
        if search:
            hunt = _search(folder, list(grid), trials, metric, seed, shared=bool(ray))
            points = [trial.point for trial in hunt.trials.values()] + [*filter(None, [hunt.ask()])]
        else:
            points = experiments.points(folder, grid, shared=bool(ray))
        for point in points:
            click.echo(f"{'present' if point.present else 'to run ':<8} {point.name}  {' '.join(point.overrides)}")
        if search and (left := trials - len(points)) > 0:
            click.echo(f"and {left} more, which depend on what comes out")
        return
    with by_hand(if_cancelled="cancelled; the next run goes on with the points that are missing"):
        sweep(list(grid), folder, jobs, output, ray, search, trials, metric, seed)


if __name__ == "__main__":
    main()
