"""A Prefect server on this machine: of `make schedule`, and of a flow that is started by hand where there is none."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from filelock import FileLock
from prefect.settings import PREFECT_HOME

from gradflow.guards.errors import RunError
from pipelines import leash

HOST = "127.0.0.1"
SECONDS_TO_START = 120
_HERE = (HOST, "localhost", "::1")


@contextmanager
def running(port: int, *options: str) -> Iterator[str]:
    """Run a Prefect server on the loopback interface; yields the address of its API.

    Args:
        port: Where it listens.
        options: Of ``prefect server start``.

    Raises:
        RunError: It does not start.
    """
    address, log = f"http://{HOST}:{port}", PREFECT_HOME.value() / "server.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)  # that of another server that is running stays its own
        output = log.open("w", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{log}: cannot be written ({error.strerror}); set PREFECT_HOME to where Prefect can") from None
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port), *options]
    with ExitStack() as stack:
        with output, FileLock(log.with_name("starting.lock")):  # of two that make the database at once, one would fail
            process = subprocess.Popen(  # noqa: S603  # no shell
                [sys.executable, "-I", "-S", leash.__file__, *command],
                env={**os.environ, "PREFECT_SERVER_UI_API_URL": f"{address}/api"},  # else its pages ask port 4200
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # outlives the Ctrl-C until the runs are stopped and have said so
            )
            stack.callback(process.communicate)  # closes the pipe that holds it, and waits
            patience = time.monotonic() + SECONDS_TO_START
            while not answers(port):
                if process.poll() is not None or time.monotonic() > patience:
                    raise RunError(f"Prefect's server does not start at port {port}; {log} says why")
                time.sleep(0.5)
        yield f"{address}/api"


def answers(port: int) -> bool:
    """Whether a server, Prefect's or another, answers at a port of this machine."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/api/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:  # something else's
        return True
    except OSError:
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def ask_no_proxy() -> None:
    """Let no proxy stand between this machine's own servers and this process, or what it starts."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if known != "*":
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, (known, *_HERE)))
