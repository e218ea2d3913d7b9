"""Bodies that come in pieces: of a length that the head named, or chunked (RFC 9112, section 7.1), read strictly.

Both take what they can of a buffer from an offset on and say where they stopped: cutting the buffer
for every piece would make many small pieces cost the square of their number.
"""

from __future__ import annotations

import re

from mesh_gateway.ingress.framing import Malformed

_size_line = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?").fullmatch
_trailer_line = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*").fullmatch

MAX_LINE = 1_024
"""Bytes of a chunk's size line or of one trailer: sixteen digits and an extension nobody uses."""

MAX_OVERHEAD = 65_536
"""Bytes of lines that are no data, besides sixteen for each byte of data. One-byte chunks are allowed
and have five; extensions and trailers without end are an attack on the reader's time."""

MAX_LINES = 16_384
"""Lines of a chunked body, two a chunk, besides one for each 64 bytes of data. Each costs more than a microsecond, however
short: a megabyte in chunks of one byte held everybody up for three seconds, and so did as many trailers."""

_SIZE, _DATA, _END, _TRAILER = range(4)


class SizedBody:
    """Collects `length` bytes in `data`."""

    __slots__ = ("_length", "data")

    def __init__(self, length: int) -> None:
        self._length = length
        self.data = bytearray()

    def feed(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """(where it stopped, whether the body is complete)"""
        taken = min(self._length - len(self.data), len(buffer) - at)
        self.data += memoryview(buffer)[at : at + taken]
        return at + taken, len(self.data) == self._length


class ChunkedBody:
    """Decodes a chunked body as it comes; what was decoded is in `data`, at most `limit` bytes."""

    __slots__ = ("_left", "_limit", "_lines", "_overhead", "_state", "data")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._state = _SIZE
        self._left = 0
        self._lines = 0
        self._overhead = 0
        self.data = bytearray()

    def feed(self, buffer: bytes, at: int) -> tuple[int, bool]:
        """(where it stopped, whether the body is complete). Raises `Malformed`."""
        while True:
            if self._state == _DATA:
                at = self._take(buffer, at)
                if self._left:
                    return at, False
                self._state = _END
            end = buffer.find(b"\r\n", at)
            if end < 0:
                self._check_unfinished(buffer, at)
                return at, False
            line = buffer[at:end]
            at = end + 2
            self._check_line(line)
            if self._state == _END:
                if line:
                    raise Malformed(400, "framing", "a chunk is longer than its size says")
                self._state = _SIZE
            elif self._state == _SIZE:
                self._begin(line)
            elif not line:
                return at, True
            elif not _trailer_line(line):
                raise Malformed(400, "framing", "a trailer is malformed")

    def _take(self, buffer: bytes, at: int) -> int:
        taken = min(self._left, len(buffer) - at)
        self.data += memoryview(buffer)[at : at + taken]
        self._left -= taken
        return at + taken

    def _begin(self, line: bytes) -> None:
        match = _size_line(line)
        if match is None:
            raise Malformed(400, "framing", "a chunk size is not a hexadecimal number")
        self._left = int(match[1], 16)
        if len(self.data) + self._left > self._limit:
            raise Malformed(413, "size", f"the body is over the limit of {self._limit} bytes")
        self._state = _DATA if self._left else _TRAILER

    def _check_line(self, line: bytes) -> None:
        self._lines += 1
        self._overhead += len(line) + 2
        size = len(self.data)
        if len(line) > MAX_LINE or self._overhead > MAX_OVERHEAD + 16 * size:
            raise Malformed(400, "framing", "the chunks have more frame than data")
        if self._lines > MAX_LINES + size // 64:
            raise Malformed(400, "framing", "the body comes in too many chunks; send larger ones")

    def _check_unfinished(self, buffer: bytes, at: int) -> None:
        """An unfinished line stays in the buffer: it must not grow, nor hold the wrong line end."""
        line = buffer[at : at + MAX_LINE + 2]
        if len(line) > MAX_LINE + 1 or b"\n" in line or b"\r" in line[:-1]:
            raise Malformed(400, "framing", "a chunk line is too long or badly ended")
        if self._state == _END and line not in (b"", b"\r"):
            raise Malformed(400, "framing", "a chunk is longer than its size says")
