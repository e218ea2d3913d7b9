"""A subscriber over HTTP/1.1: one POST for each attempt, and what its answer means.

Nothing of the environment has a say: no proxies, no redirects, no cookies, no compression. Every
attempt has one deadline for connecting, TLS, sending and the whole response.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from mesh_gateway import __version__, native
from mesh_gateway.delivery import tls
from mesh_gateway.delivery.connection import Exchange, Response
from mesh_gateway.delivery.pool import Pool
from mesh_gateway.delivery.reply import TTL
from mesh_gateway.delivery.sink import ACCEPTED, Accepted, Ended, Outcome, Refused, Retry
from mesh_gateway.errors import EventError
from mesh_gateway.event import Event
from mesh_gateway.wire import http, json

binary_request = native.PARTS.binary_request
"""The usual event's request, written by a native part; None where there is none."""

SKIP = frozenset({TTL})
"""Attributes that never leave the gateway."""

MAX_BINARY_HEAD = 8_192
"""Bytes of event headers beyond which the event goes structured: many servers stop at 8 KiB."""

BODY_EXCERPT = 1_024
"""Bytes of a failed response's body that are kept for the dead letter."""

RETRIABLE = frozenset({404, 408, 409, 429})
"""Besides 5xx (Knative's data plane contract)."""

BAD_REPLY = 502
"""The code of a 2xx whose body cannot be used: as Knative's brokers record it."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where to, and with what; everything already resolved."""

    url: str
    timeout: float = 30.0
    ca_certificates: str | None = None
    client_certificate: tuple[Path, Path] | None = None
    bearer: str | None = field(default=None, repr=False)
    insecure_skip_verify: bool = False
    replies: bool = True
    format: Literal["binary", "json"] = "binary"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    namespace: str = ""
    max_connections: int = 64
    max_reply_bytes: int = 1_048_576

    @property
    def origin(self) -> tuple[str, int]:
        """Host and port of the URL."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class HttpSink:
    """Delivers to one URL; implements `Sink`. Any number of attempts may be in flight."""

    def __init__(self, settings: HttpSettings) -> None:
        self.address = settings.url
        self._settings = settings
        # Bound once, and not twice for each attempt: 1 µs of it, and half of what the collector does.
        self._on_answered = self._answered
        self._on_failed = self._failed
        host, port = settings.origin
        self._head = request_head(settings)
        self._limits = http.Limits(max_event_bytes=settings.max_reply_bytes)
        self._body_limit = settings.max_reply_bytes if settings.replies else 65_536
        self._pool = Pool(
            host, port, limit=settings.max_connections, timeout=settings.timeout, tls=client_tls(settings)
        )

    def send(self, event: Event, context: Any, ended: Ended) -> None:
        """As `Sink.send`."""
        deadline = self._pool.now() + self._settings.timeout
        self._pool.start(
            Exchange(
                self.request(event),
                deadline,
                self._body_limit,
                (context, ended),
                self._on_answered,
                self._on_failed,
            )
        )

    async def close(self) -> None:
        """As `Sink.close`."""
        await self._pool.close()

    def request(self, event: Event) -> bytes:
        """The bytes of one attempt."""
        if self._settings.format == "binary":
            if binary_request is not None:
                written = binary_request(
                    self._head, event.attributes, event.headers, TTL, event.data, MAX_BINARY_HEAD
                )
                if written is not None:
                    return written
            data = event.data or b""
            lines = http.binary_head(event, SKIP)
            if len(lines) <= MAX_BINARY_HEAD:
                return b"%b%bcontent-length: %d\r\n\r\n%b" % (self._head, lines, len(data), data)
        body = json.encode(event, SKIP)
        passed = "".join(f"{name}: {value}\r\n" for name, value in (event.headers or {}).items())
        return b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (
            self._head,
            passed.encode("latin-1", "replace"),
            http.STRUCTURED,
            len(body),
            body,
        )

    def _answered(self, who: tuple[Any, Ended], response: Response) -> None:
        context, ended = who
        ended(context, self.outcome(response))

    def _failed(self, who: tuple[Any, Ended], why: str) -> None:
        context, ended = who
        # What can be nothing but the operator's or the subscriber's lasting fault is not tried again.
        lasting = why.startswith(("address not allowed", "response body too large"))
        ended(context, Refused(why) if lasting else Retry(why))

    def outcome(self, response: Response) -> Outcome:
        """What an answer means: the table of `docs/concepts.md`, "How deliveries are judged"."""
        status = response.status
        if 200 <= status < 300:
            return self._success(response)
        body = response.body[:BODY_EXCERPT]
        if status >= 500 or status in RETRIABLE:
            after = retry_after(response) if status in (429, 503) else None
            return Retry(f"status {status}", status, after, body)
        return Refused(f"status {status}", status, body)

    def _success(self, response: Response) -> Outcome:
        if not self._settings.replies:
            return ACCEPTED
        if not response.body and not any(name[:3].lower() == b"ce-" for name, _ in response.headers):
            return ACCEPTED
        headers = [(name.lower(), value) for name, value in response.headers]
        try:
            reply = http.decode_reply(headers, response.body, self._limits)
        except EventError as error:
            why = (
                f"reply is not a CloudEvent: {error}. Answer with an empty body, with a CloudEvent, or set "
                'the annotation mesh-gateway.dev/replies: "off" on the Trigger'
            )
            return Refused(why, BAD_REPLY, response.body[:BODY_EXCERPT])
        return ACCEPTED if reply is None else Accepted(response.status, reply)


def client_tls(settings: HttpSettings) -> ssl.SSLContext | None:
    """The TLS towards this URL; None for plain HTTP. Raises `OSError` for files that cannot be used."""
    if urlsplit(settings.url).scheme != "https":
        return None
    return tls.client_context(
        ca_certificates=settings.ca_certificates,
        client_certificate=settings.client_certificate,
        insecure_skip_verify=settings.insecure_skip_verify,
    )


def request_head(settings: HttpSettings) -> bytes:
    """The lines that are the same for every event."""
    parts = urlsplit(settings.url)
    host, port = settings.origin
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    name = f"[{host}]" if ":" in host else host.encode("idna").decode()
    default = 443 if parts.scheme == "https" else 80
    lines = [
        f"POST {target} HTTP/1.1",
        f"host: {name}" if port == default else f"host: {name}:{port}",
        f"user-agent: mesh-gateway/{__version__}",
        "accept-encoding: identity",
    ]
    if settings.replies:
        lines.append("prefer: reply")
    if settings.namespace:
        lines.append(f"kn-namespace: {settings.namespace}")
    if settings.bearer is not None:
        lines.append(f"authorization: Bearer {settings.bearer}")
    lines += [f"{name}: {value}" for name, value in settings.headers]
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def retry_after(response: Response) -> float | None:
    """Seconds a Retry-After header asks for; None when there is none or it is garbage."""
    value = next((value for name, value in response.headers if name.lower() == b"retry-after"), b"")
    text = value.decode("latin-1").strip()
    if text.isdecimal():
        return float(text) if len(text) < 12 else float("inf")
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
