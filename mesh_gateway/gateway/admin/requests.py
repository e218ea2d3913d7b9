"""What a request says, and the answer to one that cannot be served."""

from __future__ import annotations

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

MAX_BODY_BYTES = 1_048_576
"""Of a request. What the API is asked are a few words, and for a plan a mark of 64 letters for each secret."""


def problem(status: int, detail: str) -> JSONResponse:
    """An RFC 9457 answer."""
    body = {"type": "about:blank", "title": "request failed", "status": status, "detail": detail}
    return JSONResponse(body, status, media_type="application/problem+json")


def number(text: str | None, *, default: int, most: int) -> int:
    """A `limit`, `default` where none is given. Raises a 400."""
    if text is None:
        return default
    if not text.isdecimal() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        raise HTTPException(400, f"limit={text[:80]!r}: a whole number from 1 to {most}")
    return int(text)


async def json_object(request: Request) -> dict[str, Any]:
    """The body. Raises a 400, and a 413 for one that is too large."""
    try:
        body = json.loads(await _body(request))
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return body


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        # One that is too large is read to its end, or its time: closed over what is unread, a connection loses its answer.
        if len(body) <= MAX_BODY_BYTES:
            body += piece
    if len(body) > MAX_BODY_BYTES:
        raise HTTPException(413, f"the body is over the limit of {MAX_BODY_BYTES} bytes")
    return body
