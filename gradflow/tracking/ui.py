"""`make ui`: MLflow's pages on the database of this checkout, on loopback."""

import os
import signal
import socket
import subprocess

import click

from gradflow.guards.errors import InputError, RunError
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
    _serve(port, where.uri, where.artifacts.as_uri())


def _serve(port: int, database: str, artifacts: str) -> None:
    """Run the server until a signal. It has a session of its own, since it takes Ctrl-C for a fault."""
    quiet = {
        "MLFLOW_BACKEND_STORE_URI": database,  # not an argument, which everyone can read
        "MLFLOW_REGISTRY_STORE_URI": database,  # models are where their runs are
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven processes for what is not used here
        "PYTHONWARNINGS": "ignore",  # of MLflow about its own libraries
    }
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", artifacts, "--uvicorn-opts", "--log-level=warning"]
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = subprocess.Popen(command, env=os.environ | quiet, start_new_session=True)  # noqa: S603  # no shell
    try:
        code = server.wait()
    except KeyboardInterrupt:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    else:
        raise RunError(f"MLflow's server ended with exit code {code}, see above")


if __name__ == "__main__":
    main()
