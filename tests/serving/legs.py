"""A model server without the front before it."""

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from serving.backend import Backend
from serving.legs import finding

MALFORMED = [
    "3", "null", "{}", '"x"', "[]", "[[1, 2, 3]]", '[["a", 2]]', "[[NaN, 2]]", "[[1, 2], [1]]", "[[1e400, 1]]",
    "[[1, [2]]]", "[[" + "9" * 400 + ", 1]]", "[" * 5_000,
]  # fmt: skip


@dataclass(frozen=True)
class Running:
    """A leg that answers."""

    leg: finding.Leg
    backend: Backend
    client: httpx.Client  # knows the token

    def ask(self, points) -> list[list[float]]:
        """Probabilities (rows, 2) of points (rows, 2)."""
        path, body = self.leg.request([list(map(float, point)) for point in points])
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return self.leg.probabilities(answer.json())

    def processes(self) -> list[psutil.Process]:
        """Its own, and those that it started."""
        return psutil.Process(self.backend._process.pid).children(recursive=True)


@contextmanager
def running(name: str, bundle: Path):
    """Start a leg; at the end none of its processes may be left."""
    leg = finding.named(name)
    with asyncio.Runner() as runner:
        backend = Backend(leg, bundle)
        runner.run(backend.start())
        base = f"http://127.0.0.1:{backend.port}"
        with httpx.Client(base_url=base, headers=leg.headers(backend.token), timeout=60, trust_env=False) as client:
            found = Running(leg, backend, client)
            try:
                yield found
                started = found.processes()
            finally:
                runner.run(backend.end())
    assert not [one for one in started if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
