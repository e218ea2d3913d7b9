"""What goes wrong during a run, when, and for how long; seeded, and noted with its beginning and its end.

    kill        kill -9 of the gateway, and a start on the same state
    terminate   SIGTERM of the gateway, its end in order, and a start
    pause       SIGSTOP of the gateway for a while
    subscriber  the sinks of one trigger and of the ordered one are killed, and come back
    letters     the dead letter sink and these subscribers are killed together, and come back
    collapse    the same, and the gateway is killed meanwhile
    reload      other documents, two or three in a row, each with a SIGHUP; and some that cannot be served

A user's deployment is hurt only by what its user gives: `NAME=command` runs the command in a shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh_gateway.testing.probe.gateway import Own
from mesh_gateway.testing.probe.history import SUFFIX, History
from mesh_gateway.testing.probe.plan import LETTERS, Plan
from mesh_gateway.testing.probe.processes import Child

Deed = Callable[[random.Random], Awaitable[None]]

FAULTS = ("kill", "terminate", "pause", "subscriber", "letters", "collapse", "reload")
"""The names, in the order in which they take turns."""

SUBSCRIBERS = ("steady", "ordered")
"""Sinks that are away together: the trigger that takes everything, and the one whose order is looked at."""

BEFORE_FIRST = 1.5
"""Seconds of load before anything happens: there has to be something under way."""

BETWEEN = (1.0, 2.5)
"""Seconds of quiet between two faults, so that each is seen by itself."""

OUTAGE = (2.0, 4.0)
"""Seconds for which a sink is away, or a gateway stopped: longer than its first retries, so that some are spent."""

LOOKS, LOOK_SECONDS = 2_000, 0.0005
"""For a request on its way: it takes a millisecond or more, so it is seen at every second look; a second in all."""

LINE_BYTES = 512
"""Of a sender's line at the most."""

NONSENSE = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: [half a file"
"""Documents that cannot be served."""

BETWEEN_RELOADS = (0.005, 0.25)
"""Seconds between two signals: some come while the documents are read, some while they are applied, some afterwards."""

RELOAD_SECONDS = 10.0
"""Until the last file is in force; it takes a tenth of a second."""

COMMAND_SECONDS = 300.0
"""For a user's command."""


@dataclass(slots=True)
class Nemesis:
    """Does the harm. One fault at a time; `heal` puts right what was left."""

    plan: Plan
    directory: Path
    history: History
    own: Own | None
    sinks: Mapping[str, Child]
    commands: Mapping[str, str] = field(default_factory=dict)
    _done: int = 0
    _epoch: int = 0

    async def run(self, until: float) -> None:
        """Fault after fault until that monotonic moment, each of them once at the least; one that has begun is brought
        to its end. Raises `GatewayFailed`.
        """
        chance = random.Random(f"{self.plan.seed}/nemesis")
        wait = BEFORE_FIRST
        for name in self._turns(chance):
            first_round = self._done < len(self.plan.faults) + len(self.commands)
            if until - time.monotonic() <= wait and not first_round:
                break
            await asyncio.sleep(wait)
            await self._do(name, chance)
            wait = chance.uniform(*BETWEEN)
        await asyncio.sleep(max(0.0, until - time.monotonic()))

    def _turns(self, chance: random.Random) -> Iterator[str]:
        """Every fault once in a round, each round in another order."""
        names: Sequence[str] = [*self.plan.faults, *self.commands]
        while names:
            yield from chance.sample(names, len(names))

    async def _do(self, name: str, chance: random.Random) -> None:
        await self._something_under_way()
        self._done += 1
        number = self._done
        self.history.write("fault", f=name, number=number, on=True)
        deeds: Mapping[str, Deed] = {
            "kill": self._kill,
            "terminate": self._terminate,
            "pause": self._pause,
            "subscriber": self._subscriber,
            "letters": self._letters,
            "collapse": self._collapse,
            "reload": self._reload,
        }
        if name in self.commands:
            await self._command(self.commands[name])
        else:
            await deeds[name](chance)
        self.history.write("fault", f=name, number=number, on=False)

    async def _something_under_way(self) -> None:
        """Wait, not for long, until a sender has a request on its way: a fault between two requests meets nothing."""
        files = list(self.directory.glob(f"s[0-9]*{SUFFIX}"))
        for _ in range(LOOKS):
            if any(last_op(file) == "invoke" for file in files):
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _kill(self, chance: random.Random) -> None:
        assert self.own is not None
        await self.own.kill()
        await self.own.start()

    async def _terminate(self, chance: random.Random) -> None:
        assert self.own is not None
        await self.own.terminate()
        await self.own.start()

    async def _pause(self, chance: random.Random) -> None:
        assert self.own is not None
        self.own.pause()
        try:
            await asyncio.sleep(chance.uniform(*OUTAGE))
        finally:
            self.own.resume()

    async def _subscriber(self, chance: random.Random) -> None:
        await self._away(SUBSCRIBERS, chance)

    async def _letters(self, chance: random.Random) -> None:
        await self._away((LETTERS, *SUBSCRIBERS), chance)

    async def _collapse(self, chance: random.Random) -> None:
        await self._away((LETTERS, *SUBSCRIBERS), chance, self._kill)

    async def _reload(self, chance: random.Random) -> None:
        assert self.own is not None
        own = self.own
        _, refused = await own.in_force()
        self.history.write("config", good=False)
        own.write(NONSENSE)
        own.reload()
        await self._until(lambda epoch, refusals: refusals > refused)
        for _ in range(chance.choice((2, 3))):
            # A signal that comes while a reload is under way counts as well: the last file has to be in force.
            self._epoch += 1
            self.history.write("config", epoch=self._epoch, good=True)
            own.write(own.render(self._epoch))
            own.reload()
            await asyncio.sleep(chance.uniform(*BETWEEN_RELOADS))
        if await self._until(lambda epoch, refusals: epoch == self._epoch):
            self.history.write("config", applied=self._epoch)

    async def _until(self, true: Callable[[int, int], bool]) -> bool:
        """Whether it comes true of what is served and refused; looked at until `RELOAD_SECONDS` are over."""
        assert self.own is not None
        end = time.monotonic() + RELOAD_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if true(*await self.own.in_force()):
                    return True
            await asyncio.sleep(LOOK_SECONDS * 20)
        return False

    async def _away(self, names: Sequence[str], chance: random.Random, meanwhile: Deed | None = None) -> None:
        """These sinks are killed, and come back after a while."""
        chosen = [name for name in names if name in self.sinks]
        for name in chosen:
            await self.sinks[name].kill()
        await asyncio.sleep(chance.uniform(*OUTAGE))
        if meanwhile is not None:
            await meanwhile(chance)
        for name in chosen:
            await self.sinks[name].start()
        for name in chosen:
            await self.sinks[name].listening()

    async def _command(self, command: str) -> None:
        process = await asyncio.create_subprocess_shell(
            command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            said = f"not at an end after {COMMAND_SECONDS:.0f} s".encode()
        self.history.write("command", code=process.returncode, said=said.decode("utf-8", "replace")[-500:])


def last_op(file: Path) -> str:
    """What the last line of a history says was done; empty if there is none."""
    with file.open("rb") as lines:
        lines.seek(0, os.SEEK_END)
        lines.seek(max(0, lines.tell() - LINE_BYTES))
        tail = lines.read()
    found = re.findall(rb'"op":"([a-z]+)"', tail.rpartition(b"\n")[0].rpartition(b"\n")[2])
    return found[0].decode() if found else ""
