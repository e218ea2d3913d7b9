"""A worker as its parent sees it: started, watched, started again when it dies, told what to serve, stopped.

A worker that ends without having been told to is started again, with growing pauses, for ever: whatever it had accepted lies in
its store or on the broker. Only documents that cannot be served (78), before it has served once, end the whole gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal

import structlog

from mesh_gateway.gateway.admin.listener import BACKLOG
from mesh_gateway.gateway.leaving import end
from mesh_gateway.gateway.process import EXIT_CONFIGURATION, EXIT_OK, EXIT_STORE
from mesh_gateway.gateway.supervise import CALM, FIRST_PAUSE, LONGEST_PAUSE
from mesh_gateway.gateway.workers import stores
from mesh_gateway.gateway.workers.asking import Asking, Silent
from mesh_gateway.gateway.workers.control import Begin, Control, Frame, Gone, Ready, Serve, Served
from mesh_gateway.topology.spec import GatewaySpec

log = structlog.get_logger("mesh_gateway.workers")

LOOK_SECONDS = 5.0
MISSES = 3
"""A worker that serves is asked every five seconds whether its loop turns. Three times no answer, each waited for
`asking.ANSWER_SECONDS`, is half a minute in which nobody was served by it: longer than a busy machine makes anybody wait."""

AGAIN_SECONDS = 30.0
"""For a worker that is started again to reach its transports, before it takes connections without them. Others take them
meanwhile, and reach what it does not, or are sent away by all alike."""

SERVE_SECONDS = 60.0
"""For a worker to go over to other documents: it waits ten for subscriptions, and may have to start before."""

EXIT_UNAVAILABLE = 71
"""As sysexits.h has it for what the system cannot do; no process of ours ends with it."""

CHILD = "mesh_gateway.gateway.workers.child"

State = Literal["starting", "ready", "waiting", "failed", "stopped"]


class Worker:
    """One of them. `run` has one owner; `stop` and `kill` may be called from anywhere, `serve` by one at a time."""

    def __init__(
        self,
        number: int,
        socket_path: Callable[[str], str],
        begin: Callable[[], Begin],
        changing: asyncio.Lock,
    ) -> None:
        """`socket_path` is that of one of its sockets, by name. `begin` says what it is at the moment when it is started, which is
        never while `changing` is held.
        """
        self.number = number
        self.state: State = "starting"
        self.restarts = 0
        self.error = ""
        self.code = EXIT_OK
        """With which its last process ended."""
        self.up = asyncio.Event()
        """It serves."""
        self.facts: dict[str, Any] = {}
        self.asking = Asking(number, socket_path(stores.admin_socket(number)))
        self._socket_path = socket_path
        self._begin = begin
        self._changing = changing
        self._process: asyncio.subprocess.Process | None = None
        self._control: Control | None = None
        self._served: asyncio.Future[str] | None = None
        self._stopping = asyncio.Event()
        self._has_served = False

    @property
    def pid(self) -> int | None:
        """Of its process, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def incarnation(self) -> tuple[int, int]:
        """Another one for each of its processes."""
        return self.number, self.restarts

    def document(self) -> dict[str, Any]:
        """For the status."""
        return {
            "worker": self.number,
            "state": self.state,
            "pid": self.pid,
            "restarts": self.restarts,
            "error": self.error,
        }

    async def run(self) -> None:
        """Keep one process running until `stop`; returns earlier only if it cannot serve these documents at all."""
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            await self._one_life()
            if self._stopping.is_set():
                break
            if self.code == EXIT_CONFIGURATION and not self._has_served:
                self.state = "failed"
                return
            failures = 1 if time.monotonic() - began > CALM else failures + 1
            self._note_death()
            pause = min(FIRST_PAUSE * 2 ** min(failures - 1, 10), LONGEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
        self.state = "stopped"

    def _note_death(self) -> None:
        self.restarts += 1
        self.state = "waiting"
        self.error = _words(self.code)
        log.error("a worker has ended and is started again", worker=self.number, reason=self.error)

    async def _one_life(self) -> None:
        """Start a process and wait for its end."""
        async with self._changing:
            if self._stopping.is_set():
                return
            try:
                process, control = await self._started()
            except OSError as error:  # the system has no process or file to spare at the moment
                self.code = EXIT_UNAVAILABLE
                log.error("a worker cannot be started", worker=self.number, reason=error.strerror)
                return
        beside = [asyncio.create_task(self._hear(control)), asyncio.create_task(self.watch())]
        if (
            self._stopping.is_set()
        ):  # while it was started: there was no process then that could have been told
            self._signal(signal.SIGTERM)
        try:
            self.code = await process.wait()
            await beside[0]
        finally:
            await end(beside)
            self.up.clear()
            self._process = self._control = None
            control.close()
            if process.returncode is None:
                process.kill()

    async def _started(self) -> tuple[asyncio.subprocess.Process, Control]:
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as unused:
            unused.enter_context(ours)
            with (
                theirs,
                _private(self._socket_path(stores.admin_socket(self.number))) as admin,
                _private(self._socket_path(stores.store_socket(self.number))) as door,
            ):
                given = [one.fileno() for one in (theirs, admin, door)]
                # In a session of its own: Ctrl-C is meant for the parent, which knows what to do.
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", CHILD, *map(str, given),
                    pass_fds=given, stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            unused.pop_all()
        control = await Control.over(ours)
        self._process, self._control, self.state = process, control, "starting"
        with contextlib.suppress(Gone):
            await control.send(replace(self._begin(), patience=AGAIN_SECONDS if self.restarts else 0.0))
        return process, control

    async def _hear(self, control: Control) -> None:
        with contextlib.suppress(Gone):
            while True:
                self._heard(await control.receive())
        if self._served is not None and not self._served.done():
            self._served.set_exception(Silent(f"worker {self.number} has ended meanwhile"))

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """End its process when its loop does not turn any more, so that another one is started. Until cancelled."""
        missed = 0
        while True:
            await sleep(LOOK_SECONDS)
            if not self.up.is_set():
                continue
            try:
                await self.asking.get("/livez")
                missed = 0
            except Silent as error:
                missed += 1
                if missed == MISSES:
                    log.error("a worker is deaf and is ended", worker=self.number, reason=str(error))
                    self.kill()

    def _heard(self, frame: Frame) -> None:
        match frame:
            case Ready(facts):
                self.facts = facts
                self._has_served = True
                self.state = "ready"
                self.error = ""
                self.up.set()
            case Served(refused):
                if self._served is not None and not self._served.done():
                    self._served.set_result(refused)

    async def serve(self, share: GatewaySpec) -> str:
        """Have it go over to its share of other documents; why it would not, if not. One that does not run has nothing
        against them: it begins with whatever is served then. Raises `Silent` when it has ended meanwhile or does not say.
        """
        if self._control is None:
            return ""
        self._served = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(SERVE_SECONDS):
                await self._control.send(Serve(share))
                return await self._served
        except (Gone, TimeoutError) as error:
            raise Silent(f"worker {self.number} does not say whether it serves other documents") from error
        finally:
            self._served = None

    def stop(self) -> None:
        """Have it end in order; `run` returns when it has."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End its process at once. Unless it was told to stop, it is started again."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _private(path: str) -> socket.socket:
    """A listening socket, in place of whatever a predecessor has left there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  # through an open directory: the path itself may be too long for a socket
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(path)
    door.listen(BACKLOG)
    return door


def _words(code: int) -> str:
    """What an exit code says."""
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    if code == EXIT_STORE:
        return "its store cannot be trusted or is in use (exit code 74); its log says more"
    if code == EXIT_UNAVAILABLE:
        return "no process could be started"
    if code == EXIT_CONFIGURATION:
        return "it cannot serve the documents (exit code 78); its log says why"
    return f"ended with exit code {code}"
