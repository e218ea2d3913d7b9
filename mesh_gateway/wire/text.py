"""Attribute values as HTTP header values, and back (CloudEvents HTTP binding 1.0.2, 3.1.3.2).

Writing percent-encodes space, `"`, `%` and everything outside U+0021…U+007E. Reading undoes, in
this order, white space around it, RFC 7230 quoting (only of values that start with a quote: producers
send `{"a": 5}` unquoted), and one round of percent-encoding. A `%` without two hex digits is kept
as it is: Go, Java and JavaScript producers send `100%`.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from mesh_gateway.errors import InvalidEvent

SAFE = "!#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""Printable ASCII that needs no encoding, letters and digits apart."""

is_plain = re.compile(r"[!#-$&-~]*\Z").match
"""Truthy for a value that is its own header value."""
_escape = re.compile(rb"%([0-9A-Fa-f]{2})")
_quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


def encode(value: str) -> str:
    """The header value of an attribute; plain ASCII comes back as the same object."""
    return value if is_plain(value) else quote(value, safe=SAFE)


def decode(name: str, raw: bytes) -> str:
    """The attribute value in a header. Raises `InvalidEvent` naming the attribute."""
    try:
        text = raw.strip(b" \t").decode()
    except UnicodeDecodeError:
        raise InvalidEvent(f"{name}: the header value is not UTF-8") from None
    if text.startswith('"'):
        text = _unquote(name, text)
    if "%" not in text:
        return text
    try:
        return _escape.sub(lambda m: bytes((int(m[1], 16),)), text.encode()).decode()
    except UnicodeDecodeError:
        raise InvalidEvent(f"{name}: the percent-encoded value is not UTF-8") from None


def _unquote(name: str, text: str) -> str:
    """Undo RFC 7230 quoting; quoted and unquoted runs may follow each other."""
    parts: list[str] = []
    position = 0
    while position < len(text):
        if text[position] == '"':
            match = _quoted.match(text, position)
            if match is None:
                raise InvalidEvent(f"{name}: the quoted value has no closing quote")
            parts.append(re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL))
            position = match.end()
        else:
            end = text.find('"', position)
            end = len(text) if end < 0 else end
            parts.append(text[position:end])
            position = end
    return "".join(parts)
