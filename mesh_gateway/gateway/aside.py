"""Long work beside an event loop that is not to notice it: in a thread, and with less of what holds up all threads.

A thread that computes gives Python's lock back when it is asked for it and has had it for a switch interval, and the loop asks
several times for each event. What reads documents makes very many objects, so that the collector goes through all there are
every time, and nothing runs meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

T = TypeVar("T")

SWITCH_SECONDS = 0.0005
"""For which the thread has the lock at a time. With Python's 0.005 the loop did half as much while 1,000 Triggers were read."""

NEVER = 2**31 - 1
"""Young collections before a full one. One takes 60 ms and more while 1,000 Triggers are read, and finds nothing: what reading
makes is in no circles. What is young is still collected, so a disk that hangs for an hour costs no memory."""


async def aside(work: Callable[[], T]) -> T:
    """What `work` returns or raises, out of a thread. One at a time; cancelled, it leaves the thread to its end."""
    with _considerate():
        return await in_a_thread(work)


async def in_a_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises, out of a thread of its own. Cancelled, it leaves the thread to its end, for which nobody
    waits: those of the loop's executor are waited for when a process ends, and a read of a mount that hangs never ends.
    """
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[T] = loop.create_future()

    def tell(end: Callable[[], None]) -> None:
        if not ending.done():
            end()

    def do() -> None:
        try:
            end = partial(ending.set_result, work())
        except BaseException as error:  # noqa: BLE001  # whoever waits is told
            end = partial(ending.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, end)

    threading.Thread(target=do, name="mesh-gateway-aside", daemon=True).start()
    return await ending


@contextlib.contextmanager
def _considerate() -> Iterator[None]:
    switch, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(min(switch, SWITCH_SECONDS))
    gc.set_threshold(*thresholds[:2], NEVER)
    try:
        yield
    finally:
        sys.setswitchinterval(switch)
        gc.set_threshold(*thresholds)
