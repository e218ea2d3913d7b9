"""Listens where nothing may ever connect, and lets the gateway's HTTP clients try: the body of a test in `test_egress.py`.

Runs in a network namespace whose loopback has the metadata address. Prints what it heard.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from mesh_gateway.delivery import guard
from mesh_gateway.delivery.http import HttpSettings, HttpSink
from mesh_gateway.delivery.sink import Refused
from mesh_gateway.gateway.run import loop_factory
from tests.delivery.spellings import HOSTS, RESOLVED
from tests.delivery.test_http import deliver

PORT = 80
TRIED = [*HOSTS, *(f"[{text.partition('%')[0]}]" if ":" in text else text for text in RESOLVED)]


async def main() -> None:
    heard = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard += 1
        writer.close()

    server = await asyncio.start_server(connected, ["0.0.0.0", "::"], PORT)
    for host in TRIED:
        sink = HttpSink(HttpSettings(f"http://{host}:{PORT}/", timeout=5))
        assert isinstance(await deliver(sink), Refused), host
        await sink.close()
    print(f"with it: {heard}")
    guard.refusal = lambda text: None
    sink = HttpSink(HttpSettings("http://169.254.169.254/", timeout=5))
    await deliver(sink)
    await sink.close()
    print(f"without the guard: {heard}")
    print(f"tries: {len(TRIED)}")
    server.close()


with asyncio.Runner(loop_factory=loop_factory()) as runner:
    runner.run(main())
