"""schedule: a Prefect server on this machine, and what runs the deployments of prefect.yaml when their time comes."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import yaml
from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings

from gradflow.guards.errors import InputError, RunError
from pipelines import leash

HOST = "127.0.0.1"
SECONDS_TO_START = 120


def deployments(file: Path) -> list[RunnerDeployment]:
    """The deployments of a prefect.yaml, to be served from this checkout.

    Raises:
        InputError: The file cannot be read, or a deployment in it cannot work.
    """
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        return [
            RunnerDeployment.from_entrypoint(
                entrypoint=entry["entrypoint"],
                name=entry["name"],
                description=entry["description"],
                parameters=entry["parameters"],
                schedules=[Schedule(**schedule) for schedule in entry["schedules"]],
                concurrency_limit=ConcurrencyLimitConfig(**entry["concurrency_limit"]),
            )
            for entry in document["deployments"]
        ]
    except OSError as error:
        raise InputError(str(file), f"{error.strerror}; run this where it lies") from None
    except KeyError as error:
        raise InputError(f"{file}: deployments", f"each must have {error}") from None
    except (TypeError, ValueError, yaml.YAMLError) as error:
        raise InputError(str(file), " ".join(str(error).split())) from None


@contextmanager
def server(port: int) -> Iterator[str]:
    """Run a Prefect server on the loopback interface; yields the address of its API.

    Raises:
        RunError: It does not start.
    """
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    process = subprocess.Popen(  # noqa: S603  # no shell
        [sys.executable, "-I", "-S", leash.__file__, *command],
        env={**os.environ, "PREFECT_SERVER_UI_API_URL": f"{address}/api"},  # else its pages ask port 4200
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # outlives the Ctrl-C until the runs are stopped and have said so
    )
    try:
        patience = time.monotonic() + SECONDS_TO_START
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > patience:
                raise RunError(f"the Prefect server does not start; is port {port} free? make schedule PORT={port + 1}")
            time.sleep(0.5)
        yield f"{address}/api"
    finally:
        process.communicate()  # closes the pipe that holds it, and waits


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/health", timeout=5) as answer:  # noqa: S310  # http, here
            return bool(answer.status == 200)
    except urllib.error.HTTPError:  # something else's
        return True
    except OSError:
        return False


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=4200, show_default=True, help="Of the server.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("prefect.yaml"),
    show_default=True,
    help="The deployments.",
)
def main(port: int, file: Path) -> None:
    """Serve the deployments of prefect.yaml from this checkout until Ctrl-C, which stops all of it in order."""
    if _answers(f"http://{HOST}:{port}"):
        raise RunError(f"port {port} is taken, name another: make schedule PORT={port + 1}")
    with server(port) as api, temporary_settings({PREFECT_API_URL: api}):
        served = deployments(file)
        click.echo(f"Prefect's pages: http://{HOST}:{port}  API: {api}")
        for deployment in served:
            for schedule in deployment.schedules or []:
                click.echo(f"{deployment.flow_name}/{deployment.name}: {schedule.schedule}")
        # schedules stay on while nothing serves them: what was missed runs after the next start
        serve(*served, pause_on_shutdown=False, limit=1, print_starting_message=False)


if __name__ == "__main__":
    main()
