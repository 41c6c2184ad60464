"""What a request must be, checked while it is read: nothing that is refused costs more memory than is allowed."""

import asyncio
import secrets
from typing import Annotated

from fastapi import Request
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError

from serving.params import Limits

_READ_SECONDS = 15.0


class RefusedError(Exception):
    """A request that gets no answer.

    Args:
        code: Of HTTP.
        why: In words, without what was sent.
    """

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


class Points(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    points: Annotated[
        list[Annotated[list[float], Field(min_length=2, max_length=2), FailFast()]],
        FailFast(),  # a list of all that is wrong would take hundreds of times the memory of the body
        Field(min_length=1, description="Rows of two features, in the units of the raw data"),
    ]


def authorise(request: Request, token: str) -> None:
    """Refuse who does not know the token, in a time that says nothing about it.

    Raises:
        RefusedError: 401.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), token.encode()):
        raise RefusedError(401, "send the header Authorization: Bearer TOKEN")


async def body(request: Request, largest: int) -> bytes:
    """The body of a request.

    Raises:
        RefusedError: 413, it has more bytes; 408, it does not come.
    """
    too_large = RefusedError(413, f"the body must have at most {largest:,} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > largest:
        raise too_large
    content = bytearray()
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > largest:
                    raise too_large
    except TimeoutError:
        raise RefusedError(408, f"the body must be there within {_READ_SECONDS:g} s") from None
    return bytes(content)


def points(content: bytes, limits: Limits) -> list[list[float]]:
    """The points (rows, 2) of a body.

    Raises:
        RefusedError: 400, it is no JSON; 422, it breaks a rule.
    """
    try:
        found = Points.model_validate_json(content).points
    except ValidationError as errors:
        first = errors.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "json_invalid":
            raise RefusedError(400, 'the body must be JSON, {"points": [[x1, x2], ...]}') from None
        if first["type"] == "extra_forbidden":  # whose name is the client's own
            raise RefusedError(422, "the body must have the key points alone") from None
        raise RefusedError(422, f"{where}: {first['msg'].lower()}") from None
    if len(found) > limits.rows:
        raise RefusedError(422, f"points: must be at most {limits.rows:,} rows, got {len(found):,}")
    for row, point in enumerate(found):
        for feature, value in enumerate(point):
            if abs(value) > limits.magnitude:
                raise RefusedError(
                    422, f"points.{row}.{feature}: must be between -{limits.magnitude:g} and {limits.magnitude:g}"
                )
    return found
