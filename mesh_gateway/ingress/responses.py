"""The bytes of answers. Errors are `application/problem+json` (RFC 9457) with a `detail` that names the way out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
ACCEPTED_AND_CLOSE = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

ALLOW = ("allow", "POST, OPTIONS")
CONSENT = (ALLOW, ("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "*"))
"""Answer to the webhook handshake: consent is in the headers (CloudEvents webhook 1.0.2, section 4)."""

RETRY_AFTER_SECONDS = 1
"""With 429 and 503 when the transport names none: soon, because a batch takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer before it is bytes."""

    status: int
    reason: str = ""
    """Why nothing was stored, in one of the words that are counted; empty for answers that are none."""
    detail: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False


def render(answer: Answer, *, close: bool) -> bytes:
    """The bytes of an answer."""
    phrase = HTTPStatus(answer.status).phrase
    body = b""
    lines = [f"HTTP/1.1 {answer.status} {phrase}"]
    if answer.detail:
        problem = {"type": "about:blank", "title": phrase, "status": answer.status, "detail": answer.detail}
        body = json.dumps(problem, separators=(",", ":")).encode()
        lines.append("content-type: application/problem+json")
    lines.append(f"content-length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if close:
        lines.append("connection: close")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def unavailable(detail: str, *, reason: str, after: float | None = None, close: bool = False) -> Answer:
    """503 with Retry-After."""
    seconds = RETRY_AFTER_SECONDS if after is None else max(1, round(after))
    return Answer(503, reason, detail, (("retry-after", str(seconds)),), close)
