"""One run, from the start of its processes to the last look at what is left: the history is made here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mesh_gateway.testing.probe.codec import Sample
from mesh_gateway.testing.probe.gateway import Own
from mesh_gateway.testing.probe.history import SUFFIX, History
from mesh_gateway.testing.probe.nemesis import Nemesis
from mesh_gateway.testing.probe.plan import Plan
from mesh_gateway.testing.probe.processes import Child
from mesh_gateway.testing.probe.sink import facts

SAMPLE_SECONDS = 0.25
"""Between two looks at the gateway's size."""

LOOK_SECONDS = 0.25
"""Between two looks at whether everything is over."""


@dataclass(slots=True)
class Rest:
    """What lies on the transport when everything is over, read from it directly and not by the gateway."""

    letters: list[Sample] = field(default_factory=list)
    """Dead letters that the broker keeps."""
    unsettled: dict[str, int] = field(default_factory=dict)
    """What each group of each channel has not settled."""


ReadRest = Callable[[], Awaitable[Rest]]


async def run(
    plan: Plan,
    directory: Path,
    history: History,
    *,
    own: Own | None = None,
    read_rest: ReadRest | None = None,
    commands: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Write a history into `directory`: load and faults for `plan.seconds`, then everything to its end.

    With `own` the gateway is started here, hurt, and stopped; then `read_rest` is asked what is left. Without, the
    gateway at `plan.broker` is somebody's, and only `commands` hurt it. Raises `GatewayFailed`, `ChildFailed`, and what
    `read_rest` raises.
    """
    plan.save(directory)
    sinks = {name: Child("sink", directory, name) for name in plan.sinks}
    senders = [Child("sender", directory, f"s{number}") for number in range(1, plan.senders + 1)]
    nemesis = Nemesis(plan, directory, history, own, sinks, commands or {})
    async with AsyncExitStack() as afterwards:
        for child in [*sinks.values(), *senders]:
            afterwards.push_async_callback(child.kill)
        if own is not None:
            afterwards.push_async_callback(own.close)
        await _start(sinks, own)
        async with _watched(own):
            for sender in senders:
                await sender.start()
            say(f"load and faults for {plan.seconds:.0f} s")
            await nemesis.run(time.monotonic() + plan.seconds)
            for sender in senders:
                await sender.stop()
            say("waiting for everything to come to its end")
            await _quiesce(plan, directory, history, own)
        if own is not None:
            own.sample()
            if "reload" in plan.faults:
                history.write("config", force=(await own.in_force())[0])
            await own.terminate()
        for child in [*sinks.values(), *senders]:
            child.check()
        if read_rest is not None:
            _note_rest(history, await read_rest())
        for sink in sinks.values():
            await sink.stop()


async def _start(sinks: Mapping[str, Child], own: Own | None) -> None:
    for sink in sinks.values():
        await sink.start()
    for sink in sinks.values():
        await sink.listening()
    if own is not None:
        await own.start()


@asynccontextmanager
async def _watched(own: Own | None) -> AsyncIterator[None]:
    """The gateway's size is noted until the block ends."""

    async def watch() -> None:
        while own is not None:
            own.sample()
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait((watching,))


async def _quiesce(plan: Plan, directory: Path, history: History, own: Own | None) -> None:
    """Wait until the gateway says that nothing waits, and no sink has heard anything for a while."""
    begun = time.monotonic()
    heard, since = -1, begun
    history.write("quiesce", on=True)
    while (now := time.monotonic()) - begun < plan.patience:
        written = _written(directory)
        if written != heard or (own is not None and not await own.idle()):
            heard, since = written, now
        elif now - since >= plan.silence:
            break
        await asyncio.sleep(LOOK_SECONDS)
    history.write("quiesce", on=False, seconds=round(now - begun, 1), over=now - begun < plan.patience)


def _written(directory: Path) -> int:
    """Bytes of what the sinks have noted."""
    return sum(file.stat().st_size for file in directory.glob(f"sink-*{SUFFIX}"))


def _note_rest(history: History, rest: Rest) -> None:
    for attributes, data in rest.letters:
        history.write("letter", **facts(attributes, data, letter=True))
    for group, count in rest.unsettled.items():
        history.write("unsettled", group=group, events=count)
    history.write("rest", letters=len(rest.letters), groups=len(rest.unsettled))
