"""The subscriber of `mesh-gateway dev`: prints each event that arrives and accepts it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TextIO

from mesh_gateway.delivery.sink import ACCEPTED, Ended, Outcome, Retry
from mesh_gateway.event import Event

SHOWN_DATA = 2_000
"""Bytes of data shown; a terminal is for reading."""

HIDDEN = ("knativebrokerttl",)


class DisplaySink:
    """Writes events to a stream in the shape Knative's event-display made familiar."""

    def __init__(self, uri: str, stream: TextIO | None = None) -> None:
        self.address = uri
        self._stream = stream

    def send(self, event: Event, context: Any, ended: Ended) -> None:
        """As `Sink.send`; accepted once it is printed."""
        stream = self._stream or sys.stdout
        outcome: Outcome = ACCEPTED
        encoding = stream.encoding or "utf-8"
        try:
            stream.write(render(event).encode(encoding, "replace").decode(encoding))
            stream.flush()
        except OSError as error:
            outcome = Retry(f"cannot print: {error.strerror}")  # the reader of a pipe has gone
        asyncio.get_running_loop().call_soon(ended, context, outcome)

    async def close(self) -> None:
        """Nothing to free."""


def render(event: Event) -> str:
    """The event for a person to read; control characters cannot reach the terminal."""
    lines = ["☁  event"]
    lines += [f"  {name}: {value}" for name, value in event.attributes.items() if name not in HIDDEN]
    if event.data is not None:
        text = event.data[:SHOWN_DATA].decode("utf-8", "replace")
        shown = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
        more = " …" if len(event.data) > SHOWN_DATA else ""
        lines.append("  data: " + shown.replace("\n", "\n    ") + more)
    return "\n".join(lines) + "\n"
