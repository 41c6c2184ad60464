"""deploy: bring the bundle up to date, and let it take over in the running server if it is another than answers."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from gradflow.guards.errors import RunError
from pipelines import dag
from pipelines.reproduce import reproduce
from pipelines.run import by_hand

_PREFIX = "gradflow: "


@task(cache_policy=NO_CACHE)
def take_over(folder: Path, run: Path) -> str:
    """Have the server start the bundle beside what answers, try it, and swap; what it refuses changes nothing.

    Args:
        folder: Where the dvc.yaml of the bundle lies.
        run: Where the server keeps its state.

    Returns:
        What happened, in a line.

    Raises:
        RunError: The server refused the bundle.
    """
    root = dag.root(folder).resolve().parent
    command = [sys.executable, "-m", "serving.deploy", "--if-running", "--bundle", str(folder.resolve() / "bundle")]
    command += ["--run", str(run.resolve())]
    env = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)  # noqa: S603  # no shell
    said = (done.stderr if done.returncode else done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
    if done.returncode:
        raise RunError(said[-1].removeprefix(_PREFIX))
    get_run_logger().info("%s", said[-1])
    return said[-1]


@flow(name="deploy")
def deploy(folder: Path = Path("serving"), run: Path = Path("serving/run")) -> State[Any]:
    """Package what serving/params.yaml names, such as the champion of the registry, and let it take over.

    Args:
        folder: Where the dvc.yaml of the bundle lies.
        run: Where the server keeps its state.
    """
    made = reproduce(folder, return_state=True)
    if not made.is_completed():
        return Failed(message=made.message, data=RunError(made.message or "the bundle could not be made"))
    try:
        return Completed(message=take_over(folder, run))
    except RunError as error:
        return Failed(message=error.message, data=error)


@click.command()
@click.option("--run", type=click.Path(path_type=Path), default=Path("serving/run"), help="The server's state.")
def main(run: Path) -> None:
    """Bring the bundle in serving/ up to date, and let it take over in the running server.

    The server starts it beside what answers and asks it the points of the bundle's trial. If the answers are not
    those of the checkpoint, what answered before goes on.
    """
    with by_hand(if_cancelled="cancelled; a deployment that has begun goes on in the server"):
        deploy(run=run)


if __name__ == "__main__":
    main()
