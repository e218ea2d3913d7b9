"""How bytes are told apart on the private sockets between parent and workers: each piece behind its length."""

from __future__ import annotations

import asyncio

LENGTH_BYTES = 4


def framed(data: bytes) -> bytes:
    """A piece as it is sent."""
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


async def frame(reader: asyncio.StreamReader) -> bytes:
    """The next piece. Raises `OSError` or `asyncio.IncompleteReadError` when the other end has gone."""
    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
    return await reader.readexactly(length)
