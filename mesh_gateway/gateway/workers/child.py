"""One worker: a gateway process whose documents come from its parent, and that ends when the parent has gone.

Signals stop it in order, however often they come: at once it is ended by the parent. What the parent sends goes over the
control channel; what others ask, over the admin socket that the parent gave it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import sys
from typing import Any

import structlog

from mesh_gateway.gateway import logs
from mesh_gateway.gateway.documents import Documents, within_limits
from mesh_gateway.gateway.leaving import end
from mesh_gateway.gateway.listeners import Place
from mesh_gateway.gateway.process import GatewayProcess
from mesh_gateway.gateway.reload import CannotReload
from mesh_gateway.gateway.run import loop_factory
from mesh_gateway.gateway.supervise import Part, supervise
from mesh_gateway.gateway.workers import stores
from mesh_gateway.gateway.workers.control import Begin, Control, Gone, Ready, Serve, Served, first
from mesh_gateway.gateway.workers.keyed import Stores
from mesh_gateway.gateway.workers.keys import keyed
from mesh_gateway.gateway.workers.neighbours import Door, Neighbour
from mesh_gateway.topology.spec import GatewaySpec
from mesh_gateway.transport.plugins import load_plugins

EXIT_ORPHANED = 75
"""Its parent was killed. Nobody reads it."""

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


class Child:
    """The gateway in this process, and its ear for the parent. `run` has one owner."""

    def __init__(
        self, begin: Begin, control: socket.socket, admin: socket.socket, door: socket.socket
    ) -> None:
        """`door`: where its neighbours store what is for this one."""
        self._stores = Stores(begin.number, begin.workers, neighbours(begin))
        self._door = Door(door, self._stores.open)
        self._spec = begin.spec
        self._end = control
        self._control: Control
        documents = within_limits(Documents(begin.spec, self._load, options=begin.options))
        place = Place(ingress=begin.ingress, patience=begin.patience, admin=admin, placed=self._stores.placed)
        self._stores.keyed = keyed(begin.spec)
        self._ready = asyncio.Event()
        self._facts: dict[str, Any] = {}
        self._process = GatewayProcess(documents, load_plugins(), self._announce, place)

    async def run(self) -> int:
        """Serve until told to stop; the exit code."""
        self._control = await Control.over(self._end)
        beside = [
            asyncio.create_task(self._obey()),
            asyncio.create_task(self._report()),
            asyncio.create_task(supervise(Part("neighbours"), self._door.run)),
        ]
        try:
            return await self._process.run()
        finally:
            await end(beside)

    def _announce(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._ready.set()

    async def _report(self) -> None:
        await self._ready.wait()
        try:
            await self._control.send(Ready(self._facts))
        except Gone:
            orphaned()

    async def _obey(self) -> None:
        try:
            while True:
                frame = await self._control.receive()
                if isinstance(frame, Serve):
                    await self._ready.wait()  # before there is nothing to change
                    await self._control.send(Served(await self._serve(frame.spec)))
        except Gone:
            orphaned()

    async def _serve(self, spec: GatewaySpec) -> str:
        """Go over to these documents; why not, if not."""
        before, self._spec = self._spec, spec
        try:
            outcome = await self._process.reloader.reload()
            refused = outcome.reason if outcome.result == "refused" else ""
        except CannotReload as error:
            refused = str(error)
        if refused:
            self._spec = before
        self._stores.keyed = keyed(self._spec)
        return refused

    def _load(self) -> GatewaySpec:
        return self._spec


def neighbours(begin: Begin) -> dict[int, Neighbour]:
    """The other workers that take events. A socket's path may have 107 bytes, and that of a state directory has more: so they are
    found through a directory that stays open.
    """
    folder = os.open(begin.folder, os.O_PATH | os.O_DIRECTORY)
    return {
        number: Neighbour(number, f"/proc/self/fd/{folder}/{stores.store_socket(number)}")
        for number in range(begin.workers)
        if number != begin.number
    }


def orphaned() -> None:
    """Nobody is there to start another one: as if this one had been killed as well, so that a new parent finds the stores free."""
    os._exit(EXIT_ORPHANED)


def end_with_parent() -> None:
    """Have the system kill this process when its parent has gone: a loop that stands still hears nothing of it, and
    would keep its store from the next parent for ever. Where that is not allowed, `orphaned` is all there is.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def handed(number: str) -> socket.socket:
    """An open socket that the parent gave, and that no process which a plugin starts gets: it would outlive this one."""
    given = socket.socket(fileno=int(number))
    given.set_inheritable(False)
    return given


def main() -> int:
    """`python -m mesh_gateway.gateway.workers.child CONTROL ADMIN DOOR`, numbers of open sockets."""
    end_with_parent()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent's business
    control, admin, door = map(handed, sys.argv[1:4])
    try:
        begin = first(control)
    except Gone:
        return EXIT_ORPHANED
    assert isinstance(begin, Begin)
    sys.path[:] = begin.path
    logs.configure(begin.log_level)
    structlog.contextvars.bind_contextvars(worker=begin.number)

    async def run() -> int:
        return await Child(begin, control, admin, door).run()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(run())


if __name__ == "__main__":
    sys.exit(main())
