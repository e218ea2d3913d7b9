"""Ports for processes that are to listen on the same one again after an end."""

from __future__ import annotations

import contextlib
import random
import socket

BELOW_OUTGOING = range(27_000, 32_768)
"""Above every server that the tests start, and below what Linux (from 32768) and the others (from 49152) give to
outgoing connections. A port out of their range, once free, can be taken by any client while its gateway is down:
that failed one whole run of the tests."""

TRIES = 1000


def free_ports(count: int) -> list[int]:
    """Different ports of this machine on which nobody listens at this moment. Raises `OSError` when none are left."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(BELOW_OUTGOING, TRIES):
            door = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                door.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(
        f"fewer than {count} of the ports {BELOW_OUTGOING.start} to {BELOW_OUTGOING.stop - 1} are free"
    )


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]
