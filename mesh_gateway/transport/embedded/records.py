"""Rows as events, and what becomes of a row that is no event any more."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.transport.embedded.store import Store
from mesh_gateway.wire import stored

READ_BYTES = 8 * 2**20
"""Records read at a time end with the one that reaches this, so that a page of large events stays small."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events read from the file."""

    events: list[tuple[int, float, Event]]
    """Number, moment (Unix seconds), event; in order."""
    through: int
    """Up to this number the file was looked at: what is not among `events` is not there any more."""
    unreadable: list[str]
    """One sentence for every row that had to be set aside."""


def load(store: Store, channel: int, name: str, first: int, last: int, limit: int) -> Page:
    """Up to `limit` events numbered `first` to `last`. A damaged row is set aside; the rest flows."""
    rows = store.read(channel, first, last, limit=limit, max_bytes=READ_BYTES)
    events: list[tuple[int, float, Event]] = []
    unreadable: list[str] = []
    decode = stored.decode
    size = 0
    for number, at, record in rows:
        size += len(record)
        try:
            events.append((number, at, decode(record)))
        except InvalidEvent as error:
            unreadable.append(f"position {number}: {error}")
            set_aside(store, channel, name, number, str(error))
    stopped_early = rows and (len(rows) == limit or size >= READ_BYTES)
    return Page(events, rows[-1][0] if stopped_early else last, unreadable)


def set_aside(store: Store, channel: int, name: str, number: int, why: str) -> None:
    """Move a row into the quarantine table; on a full disk it stays where it is, for the next time."""
    try:
        store.transact([lambda store: store.quarantine(channel, name, number, why)])
    except apsw.FullError:
        return
