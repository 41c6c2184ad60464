"""Refuses every request without the token. vLLM's own ``--api-key`` guards /v1 and three more, but not /pooling."""

import hmac
import os
from collections.abc import Awaitable, Callable
from typing import Any

VARIABLE = "GRADFLOW_LEG_TOKEN"
_REFUSAL = b'{"error":"Unauthorized"}'


class Authorisation:
    """ASGI middleware, see ``--middleware``."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._expected = f"Bearer {os.environ[VARIABLE]}".encode()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Hand on what starts the server, and requests with the token."""
        if scope["type"] == "lifespan" or (
            scope["type"] == "http"
            and hmac.compare_digest(dict(scope["headers"]).get(b"authorization", b""), self._expected)
        ):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_REFUSAL)).encode())]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})
