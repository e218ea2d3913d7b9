"""What a channel remembers beside its events, in rows of its own: read and written in the commit that stores them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

KEPT_SECONDS = 86_400.0
"""How long an identity is known at the least: a day, over which a sender that has started anew may send again what it
had sent. They are kept by generations of that length, the latest two, so nothing is indexed by time."""

FORGOTTEN = 2
"""Old identities that go for each new one, so that they go faster than they came and nothing has to be swept."""


class StoredMemory:
    """Implements `Memory` within one transaction of the store."""

    def __init__(self, db: Any, channel: int, now: float) -> None:
        self._db, self._channel = db, channel
        self._generation = int(now // KEPT_SECONDS)

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
        """As `Memory.known`. A clock that was set back by less than a day hides nothing."""
        if not identities:
            return set()
        asked = apsw.carray(tuple(identities))
        rows = self._db.execute(
            "SELECT identity FROM came WHERE channel=? AND generation IN (?, ?, ?)"
            " AND identity IN (SELECT value FROM carray(?))",
            (self._channel, self._generation - 1, self._generation, self._generation + 1, asked),
        )
        return {identity for (identity,) in rows}

    def remember(self, identities: Sequence[bytes]) -> None:
        """As `Memory.remember`."""
        if not identities:
            return
        db = self._db
        db.execute(
            "INSERT OR IGNORE INTO came SELECT ?, ?, value FROM carray(?)",
            (self._channel, self._generation, apsw.carray(tuple(identities))),
        )
        db.execute(
            "DELETE FROM came WHERE (channel, generation, identity) IN"
            " (SELECT channel, generation, identity FROM came WHERE channel=? AND generation<? LIMIT ?)",
            (self._channel, self._generation - 1, FORGOTTEN * len(identities)),
        )
