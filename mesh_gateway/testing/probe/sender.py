"""A sender: a process that posts events, and notes what it was told of each.

`python -m mesh_gateway.testing.probe.sender DIRECTORY NAME` with the plan in the directory; ends in order on
SIGTERM, when the answer to what is under way has been noted.

What it is told is *ok* (202), *fail* (4xx: refused before anything was stored) or *info*: no answer, or 5xx, so that
nobody knows. After *info* the same event is sent again with the next attempt, until it is ok or given up.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

from mesh_gateway.testing.probe.history import History
from mesh_gateway.testing.probe.http import Client, NoAnswer, NotSent
from mesh_gateway.testing.probe.plan import Plan, load
from mesh_gateway.testing.probe.workload import Request, requests

TIMEOUT = 15.0
"""Seconds for an answer: three times a gateway's default time to store an event."""

PAUSE = 0.2
"""Seconds before an event is sent again, or a gateway that is not there is asked again."""

TRIES = 50
"""Attempts at one event. With a gateway that is away, an attempt that nobody took is not counted."""

ORACLES = ("type", "pbtier", "pbvip")
"""Attributes that the oracle reads."""


class Lane:
    """All events of one key: one request after the other, each until it is known to be stored."""

    def __init__(self, plan: Plan, sender: str, key: str, history: History, stop: asyncio.Event) -> None:
        self._requests = requests(plan, sender, key)
        self._history = history
        self._stop = stop
        self._pace = plan.senders * plan.keys / plan.rate
        parts = urlsplit(plan.broker)
        self._path = parts.path
        secure = parts.scheme == "https"
        self._client = Client(
            parts.hostname or "",
            parts.port or (443 if secure else 80),
            ssl.create_default_context() if secure else None,
        )

    async def run(self) -> None:
        """Send at the plan's pace until told to stop."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for request in self._requests:
            await self._until_known(request)
            # Behind after an outage, it does not hurry to catch up: that would be another load than was planned.
            due = max(due + self._pace * len(request.events), loop.time() - self._pace)
            if await self._stopped(due - loop.time()):
                break
        self._client.close()

    async def _until_known(self, request: Request) -> None:
        attempt = 0
        while attempt < TRIES:
            attempt += 1
            try:
                if await self._attempt(request, attempt) != "info":
                    return
            except NotSent:
                attempt -= 1
            if await self._stopped(PAUSE):
                return

    async def _attempt(self, request: Request, attempt: int) -> str:
        """Post it once, and note what was said. Raises `NotSent`."""
        headers, body = request.message(attempt)
        for made in request.events:
            self._history.write(
                "invoke", ev=made.ev, att=str(attempt), id=made.attributes["id"], key=made.key, seq=made.seq,
                hash=made.hash, mode=request.mode, size=len(body), large=made.too_large,
                a={name: made.attributes[name] for name in ORACLES if name in made.attributes},
            )  # fmt: skip
        why, code = "", 0
        try:
            code, _ = await self._client.post(self._path, headers, body, TIMEOUT)
            op = "ok" if code == 202 else "fail" if 400 <= code < 500 and code not in (408, 429) else "info"
        except NoAnswer as error:
            op, why = "info", str(error)
        except NotSent as error:
            self._tell(request, attempt, "fail", 0, f"nobody listened: {error}")
            raise
        self._tell(request, attempt, op, code, why)
        return op

    def _tell(self, request: Request, attempt: int, op: str, code: int, why: str) -> None:
        for made in request.events:
            self._history.write(op, ev=made.ev, att=str(attempt), code=code, **({"why": why} if why else {}))

    async def _stopped(self, seconds: float) -> bool:
        """Wait, and say whether it is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._stop.wait()
        return self._stop.is_set()


async def main(directory: Path, name: str) -> None:
    """Send until SIGTERM."""
    plan = load(directory)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with History(directory, name) as history:
        async with asyncio.TaskGroup() as lanes:
            for number in range(plan.keys):
                lanes.create_task(Lane(plan, name, f"k{number}", history, stop).run())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
