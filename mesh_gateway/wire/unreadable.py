"""A record that is no CloudEvent, wrapped into one, so that its bytes wait with the dead letters instead of being dropped.

A transport that finds such a record in a channel publishes the wrapped event to that channel's dead
letters, settles the record only then, and goes on; one that is too large for a letter in several (`in_pieces`).
The wrapped event belongs to no trigger: `dlq show`
prints it, a redrive passes it by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from mesh_gateway.event import Event

TYPE = "dev.mesh-gateway.unreadable"
"""The type of a wrapped record."""

HEADERS_LIMIT = 4096
"""Characters of a record's headers that are kept: they become one attribute, and an attribute has to
fit into every transport's header (AMQP's whole header frame may be as small as 4 KiB of text)."""


def wrapped(raw: bytes, *, channel: str, position: str, why: str, headers: Mapping[str, str]) -> Event:
    """The record at `position` of `channel` as an event: its bytes are the data, unchanged.

    The same record always gives the same id, so that a second look after a crash makes a duplicate
    that can be told. `headers` are those of the record, as text, for whoever has to find its producer.
    """
    kept = json.dumps(dict(headers), ensure_ascii=True)[:HEADERS_LIMIT] if headers else None
    return Event.new(
        id=position,
        source=f"/{channel.replace(':', '/')}",
        type=TYPE,
        datacontenttype="application/octet-stream",
        data=raw,
        meshreason=f"unreadable: {_printable(why)}"[:1024],
        **({} if kept is None else {"meshheaders": kept}),
    )


def in_pieces(letter: Event, largest: int) -> list[Event]:
    """The wrapped record as events of at most `largest` bytes of data: itself, where it is small enough.

    A record may fill what a server takes, and wrapping makes it larger. Each piece says which one it is (`meshpart`,
    `1/3`); their data one behind the other are the record. The same record always gives the same pieces.
    """
    data = letter.data or b""
    if len(data) <= largest:
        return [letter]
    pieces = [data[at : at + largest] for at in range(0, len(data), largest)]
    return [
        Event({**letter.attributes, "id": f"{letter.id}/{n}", "meshpart": f"{n}/{len(pieces)}"}, piece)
        for n, piece in enumerate(pieces, 1)
    ]


def _printable(text: str) -> str:
    """The text with whatever no attribute may hold written as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
