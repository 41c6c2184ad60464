"""collect: bring home what a sweep has left in the git remote, with its table and figure."""

from pathlib import Path
from typing import Annotated, Any

import click
from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from gradflow.guards.errors import InputError, RunError, shown
from pipelines import dag, experiments, refs
from pipelines.outcome import Kind, Outcome
from pipelines.run import by_hand
from pipelines.sweep import folder_option, grid_argument, publish, track_where_tracked


def _run_name() -> str:
    return f"collect {' '.join(flow_run.parameters['grid'])}"


@flow(name="collect", flow_run_name=_run_name)
def collect(
    grid: Annotated[list[str], Field(min_length=1)], folder: Path = Path(), output: Path | None = None
) -> State[Any]:
    """Bring home the points of a grid that have run anywhere, and make their table.

    Args:
        grid: As of the sweep.
        folder: Where the pipeline's dvc.yaml lies.
        output: CSV file for the table, with the figure beside it; default: as of the sweep.
    """
    try:
        if output and output.suffix != ".csv":
            raise InputError("output", f"must end in .csv, got {shown(str(output))}")
        root = dag.root(folder)
        points = experiments.points(folder, grid, shared=True)
        names = {point.name for point in points}
        refs.bring(root, [one for one in refs.on_remote(root) if one.name in names])
        done = [point for point in points if point.present]
        if not done:
            raise RunError(f"none of the {len(points)} points has run for this state of the checkout")
        outcomes = {point.label: Outcome(Kind.PRESENT) for point in done}
        metrics = experiments.metrics(folder, [point.name for point in done])
        name = experiments.title(root, folder, grid, [point.name for point in points])
        files = publish(output or root / "reports" / "sweeps" / f"{name}.csv", grid, done, outcomes, metrics)
        track_where_tracked(name, grid, files, folder)
    except RunError as error:
        return Failed(message=error.message, data=error)
    return Completed(message=f"{len(done)} of {len(points)} points")


@click.command(epilog="Example: python -m pipelines.collect depth=10,20,40")
@grid_argument
@folder_option
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Table of results, CSV.")
def main(grid: tuple[str, ...], folder: Path, output: Path | None) -> None:
    """Bring home the points of a grid that have run on other machines, and make the table of those there are.

    Experiments come from the git remote. What they have in DVC's cache stays in its remote until you ask for it with
    `dvc exp pull origin NAME`; then `dvc exp apply NAME` works.
    """
    with by_hand(if_cancelled="cancelled"):
        collect(list(grid), folder, output)


if __name__ == "__main__":
    main()
