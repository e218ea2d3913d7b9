"""Good traffic beside a fault, and how long it takes: a sender and a subscriber in a process of their own.

Of their own, because a test that has thousands of clients is slow itself. An event's time is from the moment when it is
sent to its arrival; the next one goes when it was answered, and a hundredth of a second has gone by.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tests.harness import PATIENCE, Answer, Producer, Request, Subscriber

EVERY = 0.01
"""Seconds between two events: the 99th percentile of ten seconds has ten values above it."""

TYPE = "steady"

TRIGGER = """
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: steady, namespace: {namespace}}}
spec: {{broker: {broker}, filter: {{attributes: {{type: steady}}}}, subscriber: {{uri: "{url}"}}}}
"""


class Steady:
    """The process, from the test's side."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self._port = port

    def trigger(self, broker: str, namespace: str = "default") -> str:
        """The document of its Trigger, to be put behind others."""
        return TRIGGER.format(broker=broker, namespace=namespace, url=f"http://127.0.0.1:{self._port}")

    def send(self, broker: str, phase: str) -> None:
        """Send to this URL from now on; what is sent is of this phase. It may be called again, for the next one."""
        self._say(f"{broker} {phase}")

    async def stop(self) -> dict[str, list[float]]:
        """Seconds by phase, once everything that was acknowledged has come. Raises `AssertionError` if it does not."""
        self._say("stop")
        assert self._process.stdout is not None
        said = json.loads(await self._process.stdout.readline())
        assert not said["missing"], f"{said['missing']} good events were acknowledged and did not come"
        seconds: dict[str, list[float]] = said["seconds"]
        return seconds

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())


@contextlib.asynccontextmanager
async def steady() -> AsyncIterator[Steady]:
    """One that listens and does not send yet; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.steady",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield Steady(process, int(await process.stdout.readline()))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


# ── in the process ───────────────────────────────────────────────────────────────────────────────


class Traffic:
    """What was sent, when, in which phase, and what has come."""

    def __init__(self) -> None:
        self.phase = ""
        self.enough = False
        """Nothing more is sent: what was, is answered and delivered before the process ends."""
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._under_way: dict[str, tuple[float, str]] = {}
        self._acknowledged: set[str] = set()
        self._sent = 0

    def arrived(self, request: Request) -> Answer:
        """The subscriber's answer."""
        if request.id in self._under_way:  # its first time
            sent, phase = self._under_way.pop(request.id)
            self.seconds[phase].append(time.monotonic() - sent)
        return Answer()

    @property
    def missing(self) -> int:
        """Events that were acknowledged and have not come."""
        return len(self._acknowledged & self._under_way.keys())

    async def send(self, broker: str) -> None:
        """One event after the other, over one connection until that is closed, until it is enough."""
        url = urlsplit(broker)
        assert url.port is not None
        producer = Producer(url.port, url.path)
        while not self.enough:
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                status = 202
                while status == 202 and not self.enough:
                    self._sent += 1
                    id = f"steady-{self._sent}"
                    sent = time.monotonic()
                    self._under_way[id] = sent, self.phase
                    writer.write(producer._request(id, {"type": TYPE}))
                    status = int((await reader.readuntil(b"\r\n\r\n")).split()[1])
                    if status == 202:
                        self._acknowledged.add(id)
                    await asyncio.sleep(sent + EVERY - time.monotonic())
            writer.transport.abort()


async def main() -> None:
    """Obey the lines of standard input until `stop`."""
    traffic = Traffic()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with Subscriber(traffic.arrived) as subscriber:
        print(subscriber.port, flush=True)
        sending: asyncio.Task[None] | None = None
        while (line := (await lines.readline()).decode().strip()) not in ("", "stop"):
            broker, _, traffic.phase = line.partition(" ")
            sending = sending or asyncio.ensure_future(traffic.send(broker))
        traffic.enough = True
        if sending is not None:
            await sending
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while traffic.missing:
                    await asyncio.sleep(0.05)
    print(json.dumps({"seconds": traffic.seconds, "missing": traffic.missing}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
