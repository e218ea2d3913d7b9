"""What the checker finds, with the lines that prove it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from mesh_gateway.testing.probe.history import Record

Kind = Literal[
    "LOST", "PHANTOM", "DUP", "ORDER", "MISROUTED", "CORRUPT", "ZOMBIE", "DLQ-BAD", "REPLY-LOST", "REPLY-DUP",
    "STUCK", "LEAK", "UNSETTLED", "CONFIG", "ENDED",
]  # fmt: skip

LINES = 40
"""Most lines shown for one anomaly: first and last of what there are."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing that must not be."""

    kind: Kind
    what: str
    """A sentence."""
    trigger: str = ""
    event: str = ""
    lines: tuple[Record, ...] = field(default=())

    def document(self) -> dict[str, Any]:
        """For `-o json`."""
        return {
            "kind": self.kind,
            "what": self.what,
            "trigger": self.trigger,
            "event": self.event,
            "lines": [dict(line) for line in self.lines],
        }


def proof(records: Iterable[Record | None]) -> tuple[Record, ...]:
    """Lines in order of time, each once; the middle of too many is left out."""
    seen = {record["_at"]: record for record in records if record is not None}
    lines = sorted(seen.values(), key=lambda record: record["t"])
    return tuple(lines if len(lines) <= LINES else [*lines[: LINES // 2], *lines[-LINES // 2 :]])
