"""Ports for processes that are to listen on the same one again after an end."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

BELOW_OUTGOING = range(27_000, 32_768)
"""Above every server that the tests start, and below what Linux (from 32768) and the others (from 49152) give to
outgoing connections. A port out of their range, once free, can be taken by any client while its gateway is down:
that failed one whole run of the tests."""

TRIES = 1000


_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Different ports of this machine on which nobody listens at this moment. Raises `OSError` when none are left.

    They are this process's until it ends: it is given none of them again, nor is another process that asks here. Between the
    asking and the listening lies the start of a gateway, and two suites beside each other met on one port now and then.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(BELOW_OUTGOING, TRIES):
            door = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                door.bind(("127.0.0.1", port))
                _reserve(port)
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(
        f"fewer than {count} of the ports {BELOW_OUTGOING.start} to {BELOW_OUTGOING.stop - 1} are free"
    )


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def _reserve(port: int) -> None:
    """Take the port for this process. Raises `OSError` when this or another one has it."""
    if port in _given:
        raise OSError(f"port {port} has been given already")
    fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    _given.add(port)


@functools.cache
def _reservations() -> int:
    """A file of which a process locks a byte for each port that it has; the system unlocks them when it ends."""
    file = Path(tempfile.gettempdir(), f"mesh-gateway-ports-{os.getuid()}")
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
