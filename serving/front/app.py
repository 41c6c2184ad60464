"""The front's addresses: /predict for who has the token; /health, /metrics and /monitor for all on this machine."""

import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gradflow.guards.errors import RunError
from serving.backend import BackendError
from serving.front import asking, page
from serving.front.answering import Desk
from serving.front.asking import RefusedError
from serving.front.numbers import Numbers

_PATHS = ("/predict", "/health", "/metrics", "/monitor")
_SOON = {"Retry-After": "1"}


def made(folder: Path, token: str, trouble: Callable[[], str], models: str | None, **settings: Any) -> FastAPI:
    """The application.

    Args:
        folder: See :mod:`serving.current`.
        token: What clients must know.
        trouble: Says why nothing answers; empty while something does.
        models: The page of the registered models, if MLflow is a server.
        settings: Further ones of FastAPI.
    """
    app = FastAPI(title="gradflow", docs_url=None, redoc_url=None, openapi_url=None, **settings)
    desk, numbers = Desk(folder), Numbers()

    @app.middleware("http")
    async def count(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        code = 500
        try:
            response = await go_on(request)
            code = response.status_code
            return response
        finally:
            path = request.url.path if request.url.path in _PATHS else "other"
            numbers.requests.labels(path, str(code)).inc()

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, __: ClientDisconnect) -> Response:
        return JSONResponse({"error": "the body ended early"}, 400)  # which nobody reads; it is counted

    @app.exception_handler(RefusedError)
    async def refuse(_: Request, refused: RefusedError) -> Response:
        headers = {"WWW-Authenticate": "Bearer"} if refused.code == 401 else None
        return JSONResponse({"error": refused.why}, refused.code, headers)

    @app.exception_handler(HTTPException)
    async def not_found(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RunError)
    async def unavailable(_: Request, error: RunError) -> Response:
        logging.getLogger("uvicorn.error").warning("%s", error.message)  # may name folders, so clients do not see it
        why = error.message if isinstance(error, BackendError) else "the bundle cannot be read"
        return JSONResponse({"error": why}, 503, _SOON)

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        """Labels and probabilities of points."""
        began = time.perf_counter()
        asking.authorise(request, token)
        served = desk.served()
        if served is None:
            raise BackendError("the model server is being started")
        limits = served.described.limits
        points = asking.points(await asking.body(request, limits.body), limits)
        served, probabilities = await desk.answer(points)
        run = served.described.run
        numbers.rows.inc(len(points))
        answer = JSONResponse(
            {
                "labels": [int(second > first) for first, second in probabilities],
                "probabilities": probabilities,
                "variant": run.variant,
                "seed": run.seed,
                "fingerprint": run.fingerprint,
            }
        )
        numbers.seconds.observe(time.perf_counter() - began)
        return answer

    @app.get("/health")
    async def health() -> Response:
        """Whether answers come, and are about inputs like those of the training."""
        if why := _degraded(desk, trouble()):
            return JSONResponse({"status": "degraded", "reason": why}, 503)
        return JSONResponse({"status": "ok"})

    @app.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        served = desk.served()
        up = served is not None and not trouble()
        return Response(numbers.text(served, up=up), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @app.get("/monitor")
    async def monitor() -> Response:
        """A page for people."""
        served = desk.served()
        if served is None:
            raise BackendError("the model server is being started")
        return HTMLResponse(page.rendered(served, _degraded(desk, trouble()), models))

    return app


def _degraded(desk: Desk, trouble: str) -> str:
    """What is not as it should be, in words; empty if nothing is."""
    served = desk.served()
    if served is None or trouble:
        return "the model server does not answer, it is being started"
    if served.window.drifted():
        monitor = served.described.monitor
        return f"inputs are not like the training rows: a PSI is above {monitor.psi:g}; see /monitor"
    return ""
