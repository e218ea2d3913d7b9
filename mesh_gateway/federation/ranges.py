"""Numbers as a header says them: `13-112,115`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mesh_gateway.errors import InvalidEvent

_range = re.compile(rb"([0-9]{1,15})(?:-([0-9]{1,15}))?").fullmatch


def ranges(of: Sequence[int]) -> bytes:
    """`13-112,115`: numbers in their order, each run of them once."""
    parts: list[str] = []
    first = last = of[0] if of else 0
    for number in of[1:]:
        if number == last + 1:
            last = number
            continue
        parts.append(str(first) if first == last else f"{first}-{last}")
        first = last = number
    if of:
        parts.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(parts).encode()


def numbers(text: bytes, most: int) -> list[int]:
    """The numbers of `ranges`. Raises `InvalidEvent`; never makes more than `most` of them."""
    found: list[int] = []
    for part in text.split(b",") if text else ():
        match = _range(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if first < 1 or last < first or len(found) + last - first >= most:
            raise InvalidEvent(f"mesh-numbers: {part[:40].decode('latin-1')!r} is no range of numbers")
        found += range(first, last + 1)
    return found
