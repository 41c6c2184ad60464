"""schedule: a Prefect server on this machine, and what runs the deployments of prefect.yaml when their time comes."""

from collections.abc import Sequence
from pathlib import Path

import click
import yaml
from prefect import serve
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.schedules import Schedule
from prefect.settings import PREFECT_API_URL, temporary_settings

from gradflow.guards.errors import InputError, RunError
from pipelines import server


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


def keep_paused(served: Sequence[RunnerDeployment]) -> None:
    """Leave paused what somebody has paused in Prefect's pages: a deployment, or one of its schedules.

    A schedule that is new to the server is active unless all that it replaces were not.
    """
    with get_client(sync_client=True) as client:
        for deployment in served:
            try:
                known = client.read_deployment_by_name(f"{deployment.flow_name}/{deployment.name}")
            except ObjectNotFound:
                continue
            deployment.paused = known.paused
            for schedule in deployment.schedules or []:
                same = [one for one in known.schedules if one.schedule == schedule.schedule] or known.schedules
                schedule.active = schedule.active and (not same or any(one.active for one in same))


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
    server.ask_no_proxy()
    if server.answers(port):
        raise RunError(f"port {port} is taken, name another: make schedule PORT={port + 1}")
    served = deployments(file)
    with server.running(port) as api, temporary_settings({PREFECT_API_URL: api}):
        keep_paused(served)
        click.echo(f"Prefect's pages: http://{server.HOST}:{port}  API: {api}")
        for deployment in served:
            for schedule in deployment.schedules or []:
                paused = " (paused)" * (deployment.paused is True or not schedule.active)
                click.echo(f"{deployment.flow_name}/{deployment.name}: {schedule.schedule}{paused}")
        # schedules stay on while nothing serves them: what was missed runs after the next start
        serve(*served, pause_on_shutdown=False, limit=1, print_starting_message=False)


if __name__ == "__main__":
    main()
