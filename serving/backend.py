"""A model server as a process: started, asked, and ended with all that it started itself."""

import asyncio
import os
import secrets
import socket
import sys
import tempfile
from pathlib import Path
from typing import Self

import httpx

from gradflow.guards.errors import RunError
from serving.legs.finding import Leg

_ROOT = Path(__file__).resolve().parents[1]
_LEASH = _ROOT / "pipelines" / "leash.py"
_ANSWER_SECONDS = 10.0
_READY_SECONDS = 2.0
_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.2


class BackendError(RunError):
    """A model server does not start, does not answer, or answers with something else."""


class Asked:
    """A model server that somebody has started.

    Args:
        leg: Which kind.
        port: Where it listens on this machine.
        token: What it takes.
    """

    def __init__(self, leg: Leg, port: int, token: str) -> None:
        self._leg = leg
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers=leg.headers(token),
            limits=httpx.Limits(max_connections=64, keepalive_expiry=4.0),  # servers close idle ones after 5 s
            trust_env=False,  # a proxy has no part in this
        )

    def takes(self, token: str) -> None:
        """Send another token from now on."""
        self._client.headers.update(self._leg.headers(token))

    async def probabilities(self, points: list[list[float]], seconds: float = _ANSWER_SECONDS) -> list[list[float]]:
        """Probabilities (rows, 2) of points (rows, 2).

        Raises:
            BackendError: It did not answer within that many seconds, or not with that.
        """
        path, body = self._leg.request(points)
        try:
            answer = await self._client.post(path, json=body, timeout=seconds)
            if answer.status_code != httpx.codes.OK:
                raise BackendError(f"the model server answered {answer.status_code}")
            return self._leg.probabilities(answer.json())
        except httpx.HTTPError as error:
            raise BackendError(f"the model server does not answer ({type(error).__name__})") from None
        except (KeyError, TypeError, ValueError, IndexError):
            raise BackendError("the model server answered with something else than probabilities") from None

    async def ready(self) -> bool:
        """Whether it says that it can answer."""
        try:
            return (await self._client.get(self._leg.READY, timeout=_READY_SECONDS)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    async def answers(self) -> bool:
        """Whether it answers a request: one whose worker hangs still says that it is ready."""
        try:
            await self.probabilities([[0.0, 0.0]], _PATIENCE_SECONDS)
        except BackendError:
            return False
        return True

    async def close(self) -> None:
        """Let go of its connections."""
        await self._client.aclose()


class Backend:
    """A model server of this process's own, on a free port and with a new token.

    It ends when this process does, however that ends: see ``pipelines/leash.py``.

    Attributes:
        port: Where it listens.
        token: What it takes.
        asked: To speak with it.
    """

    def __init__(self, leg: Leg, bundle: Path) -> None:
        self._leg, self._bundle = leg, bundle
        self._scratch = tempfile.TemporaryDirectory(prefix="gradflow-serving-", ignore_cleanup_errors=True)
        self._process: asyncio.subprocess.Process | None = None
        self.port, self.token = _free_port(), secrets.token_urlsafe(32)
        self.asked = Asked(leg, self.port, self.token)

    async def start(self) -> Self:
        """Start it and wait until it can answer.

        Raises:
            BackendError: It ended, or is not ready in time.
        """
        scratch = Path(self._scratch.name)
        argv, more = self._leg.command(self._bundle, self.port, self.token, scratch)
        env = {name: value for name, value in os.environ.items() if name != "GRADFLOW_TOKEN"}
        paths = [str(_ROOT), *filter(None, [env.get("PYTHONPATH")])]
        with (scratch / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", str(_LEASH), *argv,
                cwd=scratch,
                env=env | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"} | more,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the other
            )  # fmt: skip
        try:
            async with asyncio.timeout(self._leg.START_SECONDS):
                while not await self.asked.ready():
                    if self.ended():
                        raise BackendError(f"the model server ended{self._last_line()}")
                    await asyncio.sleep(_PAUSE_SECONDS)
                    self.token = self._leg.accepted(self.token, scratch)
                    self.asked.takes(self.token)
        except TimeoutError:
            why = f"the model server is not ready after {self._leg.START_SECONDS:g} s{self._last_line()}"
            await self.end()
            raise BackendError(why) from None
        except BaseException:
            await self.end()
            raise
        return self

    def ended(self) -> bool:
        """Whether its process is gone."""
        return self._process is None or self._process.returncode is not None

    async def end(self) -> None:
        """End it and all that it has started, at the latest after leash's period of grace."""
        await self.asked.close()
        if self._process:
            assert self._process.stdin
            self._process.stdin.close()
            await self._process.wait()
        self._scratch.cleanup()

    def _last_line(self) -> str:
        try:
            lines = (Path(self._scratch.name) / "log").read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1][:300]}" if said else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
