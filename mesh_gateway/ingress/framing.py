"""Strict reading of HTTP/1.1 request heads (RFC 9112).

Whatever two parsers could read in two ways is refused. llhttp (in `httptools`) reads the header
lines and refuses folded lines, bare CR or LF, white space before a colon, control characters, bad
or repeated lengths and a length beside a transfer coding. What it lets pass is refused here: the
number and size of headers, request lines with odd spacing or another version, a missing or
repeated Host, other codings than `chunked`, `ce-*` headers that stand twice.

A parser sees one complete head and nothing else, so it carries no state from one request to
the next and can never take a body, or a pipelined request, for something it is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import httptools

from mesh_gateway.ingress.limits import IngressLimits
from mesh_gateway.ingress.responses import ALLOW, Answer

_request_line = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/1\.([01])\r\n").match
_host = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]+").fullmatch
_digits = re.compile(rb"[0-9]{1,18}").fullmatch

MAX_NAMES = 1_024
"""Header names remembered in lower case. Names are the sender's choice, so the memory is bounded; full, it starts over: kept,
what one stranger filled it with would slow everybody down for good."""

_lower: dict[bytes, bytes] = {}

_ONCE = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-type",
        b"content-encoding",
        b"expect",
        b"authorization",
    }
)


_OURS = (b"ce-", b"mesh-")
"""Names that say what an event is, or a transfer: two of one name would be read in two ways."""


@dataclass(slots=True)
class Head:
    """A request's head, read."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    """Names in lower case, values without the white space around them."""
    fields: dict[bytes, bytes]
    """The same by name, for those that may stand only once."""
    keep_alive: bool
    length: int
    """Bytes of the body; 0 when chunked."""
    chunked: bool
    expects: bytes | None
    """What the sender waits for before it sends the body; HTTP/1.0 cannot."""
    attributes: ClassVar[None] = None
    """Those of the event are still in `headers`. A native part's `PlainHead` has read them already."""


class Malformed(Exception):
    """The bytes are no acceptable request; carries the answer. The connection closes after it."""

    def __init__(
        self, status: int, reason: str, detail: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.answer = Answer(status, reason, detail, headers, close=True)


class _Collector:
    """What httptools calls for each header line."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = _lower.get(name)
        if lower is None:
            lower = name.lower()
            if len(_lower) >= MAX_NAMES:
                _lower.clear()
            _lower[name] = lower
        self.headers.append((lower, value))


def read_head(raw: bytes, limits: IngressLimits) -> Head:
    """Read a head that ends with its empty line. Raises `Malformed`."""
    line = _request_line(raw)
    if line is None:
        raise Malformed(400, "framing", "the request line is not METHOD TARGET HTTP/1.1")
    collected = _Collector()
    try:
        httptools.HttpRequestParser(collected).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # no other protocol is spoken here: Upgrade is ignored (RFC 9110, 7.8), CONNECT is not POST
    except httptools.HttpParserInvalidMethodError:
        raise Malformed(405, "method", "events are sent with POST", (ALLOW,)) from None
    except httptools.HttpParserError as error:
        raise Malformed(400, "framing", f"the head of the request is malformed: {error}") from None
    headers = collected.headers
    if b" \r\n" in raw or b"\t\r\n" in raw:
        # llhttp leaves white space at the end of a value.
        headers = [(name, value.rstrip(b" \t")) for name, value in headers]
    if len(headers) > limits.max_headers:
        raise Malformed(
            431, "headers", f"there are {len(headers)} headers, the limit is {limits.max_headers}"
        )
    if len(raw) > limits.max_header_bytes and _longest(headers) > limits.max_header_bytes:
        raise Malformed(431, "headers", f"a header is over the limit of {limits.max_header_bytes} bytes")
    fields = dict(headers)
    if len(fields) != len(headers):
        _check_repeated(headers)
    is_11 = line[3] == b"1"
    host = fields.get(b"host")
    if host is None:
        if is_11:
            raise Malformed(400, "framing", "a request needs a Host header")
    elif not _host(host):
        raise Malformed(400, "framing", "the Host header is not a host")
    length, chunked = _body_framing(fields, is_11=is_11)
    return Head(
        line[1],
        line[2],
        headers,
        fields,
        is_11 and (b"connection" not in fields or not _wants_close(headers)),
        length,
        chunked,
        fields.get(b"expect") if is_11 else None,
    )


def check_start(raw: bytes, limits: IngressLimits) -> None:
    """Look at a head that is not complete yet. Raises `Malformed` when it can never become a good one."""
    if len(raw) > limits.max_headers_bytes:
        raise Malformed(431, "headers", f"the head is over the limit of {limits.max_headers_bytes} bytes")
    if b"\n" in raw:
        if _request_line(raw) is None:
            raise Malformed(400, "framing", "the request line is not METHOD TARGET HTTP/1.1")
        if raw.count(b"\n") != raw.count(b"\r\n"):
            raise Malformed(400, "framing", "a line of the head does not end with CR LF")
    elif raw not in (b"", b"\r") and not raw[:1].isalpha():
        raise Malformed(400, "framing", "this is not HTTP; is it TLS on a port without TLS?")


def _longest(headers: list[tuple[bytes, bytes]]) -> int:
    return max((len(name) + len(value) for name, value in headers), default=0)


def _check_repeated(headers: list[tuple[bytes, bytes]]) -> None:
    seen: set[bytes] = set()
    repeated: list[str] = []
    for name, _ in headers:
        if name in seen and (name in _ONCE or name.startswith(_OURS)):
            repeated.append(name.decode("latin-1"))
        seen.add(name)
    if repeated:
        raise Malformed(400, "framing", f"these headers may stand only once: {', '.join(repeated)}")


def _wants_close(headers: list[tuple[bytes, bytes]]) -> bool:
    words = b",".join(value for name, value in headers if name == b"connection").lower().split(b",")
    return any(word.strip() == b"close" for word in words)


def _body_framing(fields: dict[bytes, bytes], *, is_11: bool) -> tuple[int, bool]:
    """(bytes of the body, whether it is chunked). llhttp has refused both headers at once."""
    coding = fields.get(b"transfer-encoding")
    if coding is not None:
        if coding.lower() != b"chunked" or not is_11:
            raise Malformed(400, "framing", "the only transfer coding read here is chunked, in HTTP/1.1")
        return 0, True
    length = fields.get(b"content-length")
    if length is None:
        return 0, False
    if not _digits(length):
        raise Malformed(400, "framing", "Content-Length is not a number")
    return int(length), False
