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

MAX_DETAIL = 4_096
"""Characters of a detail. It may quote what came in, and a batch of a thousand has room for many faults."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer before it is bytes."""

    status: int
    reason: str = ""
    """Why nothing was stored, in one of the words that are counted; empty for answers that are none."""
    detail: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False
    content: bytes = b""
    """A body of JSON that is no problem; `detail` is empty then."""


def render(answer: Answer, *, close: bool, bodiless: bool = False) -> bytes:
    """The bytes of an answer; `bodiless` to a HEAD request, which gets the same header lines."""
    phrase = HTTPStatus(answer.status).phrase
    body = b""
    lines = [f"HTTP/1.1 {answer.status} {phrase}"]
    if answer.detail:
        problem = {
            "type": "about:blank",
            "title": phrase,
            "status": answer.status,
            "detail": _bounded(answer.detail),
        }
        body = json.dumps(problem, separators=(",", ":")).encode()
        lines.append("content-type: application/problem+json")
    elif answer.content:
        body = answer.content
        lines.append("content-type: application/json")
    lines.append(f"content-length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if close:
        lines.append("connection: close")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if bodiless else body)


def busy(detail: str) -> Answer:
    """429 with Retry-After: the fault is nobody's, and soon over."""
    return Answer(429, "busy", detail, (("retry-after", str(RETRY_AFTER_SECONDS)),))


def unavailable(detail: str, *, reason: str, after: float | None = None, close: bool = False) -> Answer:
    """503 with Retry-After, in whole seconds and never 0."""
    seconds = RETRY_AFTER_SECONDS if after is None else max(1, round(after))
    return Answer(503, reason, detail, (("retry-after", str(seconds)),), close)


def _bounded(detail: str) -> str:
    return detail if len(detail) <= MAX_DETAIL else detail[:MAX_DETAIL] + " …"
