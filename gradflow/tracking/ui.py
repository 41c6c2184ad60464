"""`make ui`: MLflow's pages on the database of this checkout, on loopback."""

import os
import socket

import click

from gradflow.errors import InputError, RunError
from gradflow.tracking import environment


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Where to listen.")
def main(port: int) -> None:
    """Print the address and serve until Ctrl-C."""
    environment.prepare()
    from gradflow.tracking import store  # it imports MLflow

    where = store.find()
    if where.artifacts is None:
        raise InputError(
            "environment: MLFLOW_TRACKING_URI", f"names a server, which has pages of its own: open {where}"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise RunError(f"port {port} is taken, name another: make ui PORT={port + 1}") from None
    with where.connected():
        pass  # the database is there before two programs may want to make it
    click.echo(f"MLflow shows {where} on http://127.0.0.1:{port} (Ctrl-C ends it)")
    # In the environment, because everyone can read the arguments of a process.
    os.environ["MLFLOW_BACKEND_STORE_URI"] = where.uri
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # seven processes for what is not used here
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level=warning"]
    os.execvp(command[0], [*command, "--artifacts-destination", where.artifacts.as_uri()])  # noqa: S606  # no shell


if __name__ == "__main__":
    main()
