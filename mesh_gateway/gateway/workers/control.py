"""What the parent and a worker say to each other, over a pair of sockets that nobody else has.

Frames are pickled: both ends are this very code, started by the same user, and what they carry are the frozen specs, secrets
included, which go through no file and no argument.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from mesh_gateway.gateway.workers import frames
from mesh_gateway.topology.spec import GatewaySpec


@dataclass(frozen=True, slots=True)
class Begin:
    """To a worker, first: what it is."""

    number: int
    spec: GatewaySpec
    ingress: Literal["shared", "none"]
    workers: int = 1
    """Those that take connections, the first numbers."""
    folder: str = ""
    """Where the sockets of its neighbours are."""
    patience: float = 0.0
    """As `Place.patience`."""
    log_level: str = "info"
    options: frozenset[str] = frozenset()
    path: tuple[str, ...] = ()
    """`sys.path` of the parent, so that both find the same plugins."""


@dataclass(frozen=True, slots=True)
class Serve:
    """To a worker: go over to these documents."""

    spec: GatewaySpec


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker, once: it serves."""

    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """From a worker, for each `Serve`: `refused` says why not; then it serves what it did before."""

    refused: str = ""


Frame = Begin | Serve | Ready | Served


class Gone(Exception):
    """The other end is not there any more."""


class Control:
    """One end. One task sends at a time, and one receives."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """Use this socket from now on; it is closed with the rest."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    async def send(self, frame: Frame) -> None:
        """Raises `Gone`."""
        try:
            self._writer.write(frames.framed(pickle.dumps(frame)))
            await self._writer.drain()
        except OSError as error:
            raise Gone from error

    async def receive(self) -> Frame:
        """The next frame. Raises `Gone`."""
        try:
            return _frame(await frames.frame(self._reader))
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Gone from error

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def first(end: socket.socket) -> Frame:
    """The first frame, waited for without a loop. Raises `Gone`."""
    return _frame(_exactly(end, int.from_bytes(_exactly(end, frames.LENGTH_BYTES), "big")))


def _exactly(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = end.recv(count - len(data))
        if not more:
            raise Gone
        data += more
    return data


def _frame(data: bytes) -> Frame:
    frame: Frame = pickle.loads(data)  # noqa: S301  # of our own process, over a socket of its own
    return frame
