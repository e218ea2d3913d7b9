"""The signals of a process: SIGTERM and SIGINT stop it, a second one ends it at once, SIGHUP reloads."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Hangups:
    """SIGHUPs that come before there is a loop to take them: none ends the process, and none is forgotten."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGHUP, self._note)

    def _note(self, number: int, frame: object) -> None:
        self.came = True


@contextlib.contextmanager
def handled(
    stop: Callable[[], None], reload: Callable[[], None], hangups: Hangups | None = None
) -> Iterator[None]:
    """While it is open, the running loop calls these for each signal; `reload` at once if one of `hangups` came before."""
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    if hangups is not None and hangups.came:
        reload()
    try:
        yield
    finally:
        for number in (*STOPPING, signal.SIGHUP):
            loop.remove_signal_handler(number)
