"""serve: the bundle behind HTTP, on this machine alone, until Ctrl-C."""

import asyncio
import os
import secrets
import shlex
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click
import uvicorn
from fastapi import FastAPI
from filelock import FileLock, Timeout

from gradflow.guards.errors import InputError, RunError, without_passwords
from serving import current
from serving.current import Wanted
from serving.front import app
from serving.legs import finding
from serving.supervisor import Supervisor

_HERE = Path(__file__).parent
_SHORTEST_TOKEN = 16
_DRAIN_SECONDS = 10


@click.command()
@click.option("--leg", default="litserve", show_default=True, help="Which model server computes.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Where to listen; 0: any that is free.",
)
@click.option("--bundle", "source", type=click.Path(path_type=Path), default=_HERE / "bundle", help="What to serve.")
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), default=_HERE / "run", help="Where the server keeps its state."
)
def main(leg: str, port: int, source: Path, folder: Path) -> None:
    """Serve the bundle until Ctrl-C."""
    if lacks := finding.named(leg).missing():
        raise InputError("--leg", f"{leg}: {lacks}")
    folder = current.made(folder.resolve())
    try:
        with FileLock(folder / current.LOCK, timeout=0):
            token, shown = _token(folder)
            current.write(folder / current.WANTED, Wanted(leg=leg, bundle=current.keep(folder, source)))
            with _listening(port) as listening:
                _serve(folder, token, shown, listening)
    except Timeout:
        raise RunError(f"{folder}: another server keeps its state there; end it, or name a folder with --run") from None


def _serve(folder: Path, token: str, shown: str, listening: socket.socket) -> None:
    supervisor = Supervisor(folder)

    def ended(keeping: asyncio.Task[None]) -> None:
        server.should_exit = True
        if not keeping.cancelled():
            keeping.result()  # a fault of this program is told with its traceback

    @asynccontextmanager
    async def supervised(_: FastAPI) -> AsyncIterator[None]:
        (folder / current.CURRENT).unlink(missing_ok=True)  # of a server that was killed
        keeping = asyncio.create_task(supervisor.run())
        keeping.add_done_callback(ended)
        greeting = asyncio.create_task(_greet(supervisor, listening, shown, server))
        yield
        greeting.cancel()
        keeping.cancel()
        await asyncio.wait([keeping])

    application = app.made(folder, token, lambda: supervisor.trouble, _models(), lifespan=supervised)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn's, when all is ended
        raise SystemExit(130) from None
    if supervisor.trouble:
        raise RunError(supervisor.trouble)


async def _greet(supervisor: Supervisor, listening: socket.socket, shown: str, server: uvicorn.Server) -> None:
    """Say how to ask, as soon as something answers; end the server if nothing will."""
    await supervisor.first.wait()
    if supervisor.trouble:
        server.should_exit = True
        return
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    click.echo(f"serving on {address}, see {address}/monitor (Ctrl-C ends it)")
    click.echo(f"""curl -H "Authorization: Bearer {shown}" -d '{{"points": [[0.5, 0.25]]}}' {address}/predict""")


def _listening(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port))
    except OSError as error:
        made.close()
        raise RunError(
            f"port {port} cannot be used ({error.strerror}), name another: --port {port % 65535 + 1}"
        ) from None
    return made


def _token(folder: Path) -> tuple[str, str]:
    """The token of clients, and how a shell gets it: from the environment, else from a file that its owner can read."""
    if given := os.environ.get("GRADFLOW_TOKEN"):
        if len(given) < _SHORTEST_TOKEN or not given.isascii() or not given.isprintable() or " " in given:
            rule = f"must be at least {_SHORTEST_TOKEN} letters, digits or signs without spaces"
            raise InputError("environment: GRADFLOW_TOKEN", f"{rule}, got {len(given)}, which are not shown")
        return given, "$GRADFLOW_TOKEN"
    path = folder / current.TOKEN
    if path.exists():
        path.chmod(0o600)
        made = path.read_text(encoding="ascii").strip()
    if not path.exists() or len(made) < _SHORTEST_TOKEN:
        path.unlink(missing_ok=True)
        made = secrets.token_urlsafe(32)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(made + "\n")
    return made, f"$(cat {shlex.quote(str(path))})"


def _models() -> str | None:
    """The page of the registered models, where MLflow is a server."""
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    return f"{without_passwords(given).rstrip('/')}/#/models" if urlsplit(given).scheme in ("http", "https") else None


if __name__ == "__main__":
    main()
