"""Names to addresses, asked off the loop, remembered for a few seconds so that DNS changes are followed."""

from __future__ import annotations

import asyncio
import socket

from mesh_gateway.delivery import guard

TTL_SECONDS = 5.0
"""How long an answer is believed. A new connection is opened far more rarely than this under load;
a failed-over name is followed within seconds."""


class NameNotFound(OSError):
    """The resolver knows no such name."""


class AddressRefused(OSError):
    """Every address of the name is one that is never delivered to."""


class Resolver:
    """One host and port. Concurrent callers share one question."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._addresses: list[str] = []
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def addresses(self) -> list[str]:
        """Allowed addresses, in the resolver's order. Raises `NameNotFound`, `AddressRefused`."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() < self._until:
                return self._addresses
            try:
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            except (socket.gaierror, UnicodeError) as error:
                raise NameNotFound(f"name not found: {self._host}") from error
            every = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            self._addresses = [address for address in every if guard.refusal(address) is None]
            if not self._addresses:
                raise AddressRefused(guard.refusal(every[0]))
            self._until = loop.time() + TTL_SECONDS
            return self._addresses
