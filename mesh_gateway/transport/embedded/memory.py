"""What a channel remembers of where its events came from: rows beside the events, read and written in their commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

KEPT_SECONDS = 86_400.0
"""How long an identity is known: a day, over which a sender that has started anew may send again what it had sent."""

FORGOTTEN = 2
"""Old identities that go for each new one, so that they go faster than they came and nothing has to be swept."""


class StoredMemory:
    """Implements `Memory` within one transaction of the store."""

    def __init__(self, db: Any, channel: int, now: float) -> None:
        self._db, self._channel, self._now = db, channel, now

    def get(self, name: str) -> bytes | None:
        """As `Memory.get`."""
        found: bytes | None = self._db.execute(
            "SELECT value FROM remembered WHERE channel=? AND name=?", (self._channel, name)
        ).get
        return found

    def put(self, name: str, value: bytes) -> None:
        """As `Memory.put`."""
        self._db.execute("INSERT OR REPLACE INTO remembered VALUES(?, ?, ?)", (self._channel, name, value))

    def known(self, identities: Sequence[bytes]) -> set[bytes]:
        """As `Memory.known`."""
        if not identities:
            return set()
        rows = self._db.execute(
            "SELECT identity FROM came WHERE channel=? AND identity IN (SELECT value FROM carray(?))",
            (self._channel, apsw.carray(tuple(identities))),
        )
        return {identity for (identity,) in rows}

    def remember(self, identities: Sequence[bytes]) -> None:
        """As `Memory.remember`."""
        if not identities:
            return
        db = self._db
        db.execute(
            "INSERT OR REPLACE INTO came SELECT ?, value, ? FROM carray(?)",
            (self._channel, self._now, apsw.carray(tuple(identities))),
        )
        db.execute(
            # What came together goes together: of two identities that mean something only side by side
            # (an event's and its copy's) none is known without the other.
            "DELETE FROM came WHERE channel=?1 AND at<=(SELECT max(at) FROM"
            " (SELECT at FROM came WHERE channel=?1 AND at<?2 ORDER BY at LIMIT ?3))",
            (self._channel, self._now - KEPT_SECONDS, FORGOTTEN * len(identities)),
        )
