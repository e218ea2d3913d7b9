"""A member name that stands twice in an envelope is 400: which of the two would other readers believe?

msgspec keeps the last of them and does not say so. To walk a text from name to name takes longer than all the rest of reading it.
So first its length is looked at: one without white space has no room for more than what was kept. In any other text colons are
counted (0.9 µs for 1,000 bytes more, a fifth of reading them): one stands behind each name, all others inside of names or values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from mesh_gateway import attributes as rules
from mesh_gateway.errors import InvalidEvent

Members = dict[str, msgspec.Raw]
"""An envelope with its values as they stand in the text."""

_value = msgspec.json.Decoder()

_name = re.compile(rb'[ \t\n\r]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL).match
_comma = re.compile(rb"[ \t\n\r]*,").match
_end = re.compile(rb"[ \t\n\r]*\}").match


def none(each: Sequence[Members], text: bytes, colons: int) -> bool:
    """Whether no name stands twice in `text`, the valid JSON array of objects that these were read from; it has so many colons.

    Each member that was not kept has at least one that is in none of these. False as well where a name holds one.
    """
    return (
        1 + sum([1 + _compact(members) for members in each]) == len(text) or sum(map(_colons, each)) == colons
    )


def check(members: Members, text: bytes) -> None:
    """Raises `InvalidEvent` if a name stands twice in `text`, the valid JSON object that `members` were read from."""
    if _compact(members) != len(text) and _colons(members) != text.count(b":"):
        walk(members, text)


def _compact(members: Members) -> int:
    """Bytes of the object if nothing of it is white space or an escaped name. No text of these members has fewer."""
    size = 1
    for name, raw in members.items():
        size += len(name) + len(raw) + 4  # two quotes, a colon, a comma or what ends the object
    return size


def _colons(members: Members) -> int:
    """Behind their names, and inside of their values."""
    return len(members) + b"".join(members.values()).count(b":")


def walk(members: Members, text: bytes) -> None:
    """As `check`, from name to name."""
    seen: set[str] = set()
    position = text.index(b"{") + 1
    while (match := _name(text, position)) is not None:
        name: str = _value.decode(match[1])
        raw = bytes(members[name])
        position = match.end() + len(raw)
        comma = _comma(text, position)
        # The value here is another than the one that was kept, or the name was here before.
        if name in seen or text[match.end() : position] != raw or not (comma or _end(text, position)):
            raise InvalidEvent(f"{rules.named(name)}: stands more than once")
        if comma is None:
            return
        seen.add(name)
        position = comma.end()
