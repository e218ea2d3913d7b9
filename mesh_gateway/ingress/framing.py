"""Strict reading of HTTP/1.1 request heads and chunked bodies (RFC 9112).

Whatever two parsers could read in two ways is refused: folded lines, bare CR or LF, white space
before a colon, two lengths, a length beside a transfer coding, codings other than `chunked`, control
characters. One regular expression reads all header lines in C; a head in which it does not account
for every line is refused, so nothing is silently skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mesh_gateway.ingress.limits import IngressLimits
from mesh_gateway.ingress.responses import Answer

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_request_line = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])\Z").match
_header_lines = re.compile(
    rb"\r\n(" + _TOKEN + rb"):[ \t]*([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*))?(?=\r\n)"
).findall
_digits = re.compile(rb"[0-9]{1,18}\Z").match
_chunk_size = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\Z").match

MAX_NAMES = 1_024
"""Header names remembered in lower case. Names are the sender's choice, so the memory is bounded."""

MAX_CHUNK_LINE = 1_024
MAX_TRAILER = 8_192

_lower: dict[bytes, bytes] = {}

_ONCE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"content-type", b"expect", b"content-encoding"}
)


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


class Malformed(Exception):
    """The bytes are no acceptable request; carries the answer. The connection closes after it."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.answer = Answer(status, reason, detail, close=True)


def read_head(raw: bytes, limits: IngressLimits) -> Head:
    """Read a head that ends with its empty line. Raises `Malformed`."""
    line, _, _ = raw.partition(b"\r\n")
    request = _request_line(line)
    if request is None:
        raise Malformed(400, "framing", "the request line is not METHOD TARGET HTTP/1.1")
    found = _header_lines(raw)
    if len(found) != raw.count(b"\n") - 2 or raw.count(b"\r") != len(found) + 2:
        raise Malformed(
            400, "framing", "a header line is malformed: folded, without a colon, or with a control character"
        )
    if len(found) > limits.max_headers:
        raise Malformed(431, "headers", f"more than {limits.max_headers} headers")
    headers = _lowered(found, limits)
    fields = dict(headers)
    if len(fields) != len(headers):
        _check_repeated(headers)
    return _framed(request[1], request[2], request[3] == b"1", headers, fields)


def _lowered(found: list[tuple[bytes, bytes]], limits: IngressLimits) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    longest = limits.max_header_bytes
    for name, value in found:
        lower = _lower.get(name)
        if lower is None:
            lower = name.lower()
            if len(_lower) < MAX_NAMES:
                _lower[name] = lower
        if len(value) > longest:
            shown = lower[:64].decode("latin-1")
            raise Malformed(431, "headers", f"the header {shown} has more than {longest} bytes")
        headers.append((lower, value.rstrip(b" \t") if value[-1:] in b" \t" else value))
    return headers


def _check_repeated(headers: list[tuple[bytes, bytes]]) -> None:
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in _ONCE:
            raise Malformed(400, "framing", f"the header {name.decode()} stands more than once")
        seen.add(name)


def _framed(
    method: bytes,
    target: bytes,
    is_11: bool,  # the minor version, straight from the request line
    headers: list[tuple[bytes, bytes]],
    fields: dict[bytes, bytes],
) -> Head:
    if is_11 and not fields.get(b"host"):
        raise Malformed(400, "framing", "a request needs one Host header")
    length_text = fields.get(b"content-length")
    coding = fields.get(b"transfer-encoding")
    length = 0
    if coding is not None:
        if length_text is not None:
            raise Malformed(400, "framing", "both Content-Length and Transfer-Encoding are there")
        if coding.lower() != b"chunked" or not is_11:
            raise Malformed(400, "framing", "the only transfer coding read here is chunked, in HTTP/1.1")
    elif length_text is not None:
        if not _digits(length_text):
            raise Malformed(400, "framing", "Content-Length is not a number")
        length = int(length_text)
    connection = fields.get(b"connection")
    keep_alive = is_11 if connection is None else _stays(connection.lower(), is_11=is_11)
    return Head(method, target, headers, fields, keep_alive, length, coding is not None)


def _stays(connection: bytes, *, is_11: bool) -> bool:
    words = {word.strip() for word in connection.split(b",")}
    return b"close" not in words if is_11 else b"keep-alive" in words


class Chunks:
    """Decodes a chunked body as it comes."""

    __slots__ = ("_left", "_limit", "_state", "_trailer", "parts", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._state = "size"
        self._left = 0
        self._trailer = 0
        self.parts: list[bytes] = []
        self.size = 0

    def feed(self, buffer: bytes) -> tuple[bytes, bool]:
        """Take what can be taken of `buffer`: (the rest, whether the body is complete). Raises `Malformed`."""
        while True:
            if self._state == "data":
                taken = buffer[: self._left]
                if taken:
                    self.parts.append(taken)
                    self._left -= len(taken)
                    buffer = buffer[len(taken) :]
                if self._left:
                    return buffer, False
                self._state = "end"
            line, buffer, found = self._line(buffer)
            if not found:
                return buffer, False
            if self._state == "end":
                if line:
                    raise Malformed(400, "framing", "a chunk is longer than its size says")
                self._state = "size"
            elif self._state == "size":
                self._begin(line)
            elif not line:
                return buffer, True  # trailers are read and not used

    def _line(self, buffer: bytes) -> tuple[bytes, bytes, bool]:
        end = buffer.find(b"\r\n")
        if end < 0:
            if len(buffer) > MAX_CHUNK_LINE or b"\n" in buffer or b"\r" in buffer[:-1]:
                raise Malformed(400, "framing", "a chunk line is too long or badly ended")
            return b"", buffer, False
        line = buffer[:end]
        if len(line) > MAX_CHUNK_LINE or b"\n" in line or b"\r" in line:
            raise Malformed(400, "framing", "a chunk line is too long or badly ended")
        if self._state == "trailer":
            self._trailer += len(line)
            if self._trailer > MAX_TRAILER:
                raise Malformed(431, "headers", "the trailer is too long")
        return line, buffer[end + 2 :], True

    def _begin(self, line: bytes) -> None:
        match = _chunk_size(line)
        if match is None:
            raise Malformed(400, "framing", "a chunk size is not a hexadecimal number")
        self._left = int(match[1], 16)
        self.size += self._left
        if self.size > self._limit:
            raise Malformed(413, "size", f"the body is over the limit of {self._limit} bytes")
        self._state = "data" if self._left else "trailer"
