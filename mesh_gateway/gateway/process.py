"""One gateway process, from a frozen spec to its exit code.

    build ─▶ listen ─▶ connect ─▶ ready … SIGTERM ─▶ refuse ─▶ drain ─▶ settle ─▶ close ─▶ 0

A second SIGTERM or SIGINT exits at once. A store that cannot be trusted any more exits with 74,
without asking anybody: the next process reads what is really on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import structlog

from mesh_gateway import __version__, native
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import MeshError
from mesh_gateway.gateway import signals, status
from mesh_gateway.gateway.assembly import assemble, reassemble
from mesh_gateway.gateway.documents import Documents
from mesh_gateway.gateway.leaving import end
from mesh_gateway.gateway.listeners import BY_ITSELF, Listeners, Place
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.observe import Observers
from mesh_gateway.gateway.parts import Parts, Surroundings
from mesh_gateway.gateway.reload import CannotReload, Reloader
from mesh_gateway.gateway.supervise import Part, supervise
from mesh_gateway.ingress.limits import IngressCounters
from mesh_gateway.topology.spec import GatewaySpec, IngressSpec
from mesh_gateway.transport.hooks import HealthCheck
from mesh_gateway.transport.plugins import Plugins

log = structlog.get_logger("mesh_gateway")

EXIT_OK = 0
EXIT_STORE = 74
EXIT_CONFIGURATION = 78
EXIT_AT_ONCE = 143

BEGIN_PATIENCE = 10.0
"""Seconds for a new subscription of a trigger that must not miss anything meanwhile: a Kafka group needs up to six."""

CONNECT_PATIENCE = 2.0
"""Seconds for the transports before `ready` is said without them: longer than opening a large
embedded store, shorter than anybody waits for a first line."""

Announce = Callable[[dict[str, Any]], None]


class GatewayProcess:
    """The gateway of this process; what the admin API shows."""

    def __init__(
        self, documents: Documents, plugins: Plugins, announce: Announce, place: Place = BY_ITSELF
    ) -> None:
        """`place`: where it stands among others, if it is not by itself."""
        self.spec = documents.spec
        self.reloader = Reloader(documents.spec, documents.load, self._apply)
        self._documents = documents
        self.watches = Watches()
        self.state = "starting"
        self.unreadable: Counter[str] = Counter()
        self.ingress_counters = IngressCounters()
        self._plugins = plugins
        self._announce = announce
        self._stop = asyncio.Event()
        self._exit = EXIT_OK
        self._mesh: Mesh
        self._place = place
        self._listeners = Listeners(self, self.ingress_counters, self._place)
        self._exporter: Any = None

    @property
    def options(self) -> frozenset[str]:
        return self._documents.options

    @property
    def parts(self) -> Parts:
        return self._mesh.parts

    @property
    def ready(self) -> bool:
        return self.state == "ready" and self._mesh.ready

    async def status(self) -> dict[str, Any]:
        """The document behind `mesh-gateway status`."""
        return await status.whole(
            self._mesh,
            self.reloader.reloads,
            version=__version__,
            state=self.state,
            urls=self._listeners.urls,
            broker_url=self.broker_url,
        )

    async def metrics(self) -> bytes:
        """The text of `/metrics`."""
        if self._exporter is None:
            from mesh_gateway.gateway.metrics import Exporter

            self._exporter = Exporter(
                self._mesh, self.reloader.reloads, self.ingress_counters, self.unreadable
            )
        rendered: bytes = await self._exporter.render()
        return rendered

    def broker_url(self, key: str) -> str:
        return f"{self._listeners.urls['ingress']}/{key}"

    async def run(self) -> int:
        """Serve until a signal or a fatal error; the exit code."""
        try:
            parts = assemble(self.spec, self._surroundings(self.spec))
            self._mesh = Mesh(parts, grace=self.spec.drain_timeout)
            async with contextlib.AsyncExitStack() as stack:
                stack.enter_context(
                    signals.handled(self._told_to_stop, self.reloader.ask, self._documents.hangups)
                )
                await self._listeners.open(parts)
                stack.push_async_callback(self._listeners.close)
                await self._serve()
        except MeshError as error:
            log.error("cannot start", reason=str(error))
            return EXIT_CONFIGURATION
        return self._exit

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self._mesh.run())
            admin = tasks.create_task(self._listeners.run())
            beside = {part.name: tasks.create_task(supervise(part, work)) for part, work in self._beside()}
            beside["reload"].add_done_callback(lambda done: self.reloader.end())
            await self._say_ready()
            await self._stop.wait()
            self.state = "draining"
            log.info("draining")
            if self._exit == EXIT_STORE:
                # Nothing that this process says about the store is worth anything now.
                os._exit(EXIT_STORE)
            await end(list(beside.values()))
            await self._listeners.drain()
            self._mesh.stop()
            await running
            await self._listeners.closed()
            self._listeners.stop()
            await admin
        log.info("stopped")

    def _beside(self) -> Iterator[tuple[Part, Callable[[], Awaitable[None]]]]:
        """What runs beside the mesh: nothing of it is needed for an event's way."""
        works: dict[str, Callable[[], Awaitable[None]]] = {
            "observers": self._observers().run,
            "reload": self.reloader.run,
        }
        if self._documents.changes is not None:
            works["watch"] = partial(self._watch, self._documents.changes)
        for name, work in works.items():
            part = Part(name)
            self._mesh.beside.append(part)
            yield part, work

    async def _watch(self, changes: Callable[[], AsyncIterator[None]]) -> None:
        async for _ in changes():
            self.reloader.ask()

    async def _apply(self, spec: GatewaySpec) -> None:
        """Go over to `spec` as a whole. Raises `MeshError` with nothing changed."""
        made = reassemble(spec, self._mesh.parts, self._surroundings(spec))
        try:
            # What has come meanwhile goes before: with many triggers each half of this is long.
            await asyncio.sleep(0)
            opened = await self._listeners.opened_for(made.parts)
        except BaseException:
            made.forget(self._mesh.parts)
            raise
        begun = False
        try:
            begun = await self._mesh.begin(made, BEGIN_PATIENCE)
        finally:
            if not begun:
                await self._listeners.forget(opened)
        if not begun:
            raise CannotReload(
                "a trigger that is to have a subscription of its own could not subscribe: "
                f"its transport did not answer within {BEGIN_PATIENCE:g} s. Nothing of the change was applied"
            )
        self.spec = spec
        self._mesh.grace = spec.drain_timeout
        self._mesh.change(made)
        self._listeners.change(made.parts, opened)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_PATIENCE):
                await self._mesh.up()

    async def _say_ready(self) -> None:
        await self._while_it_serves(self._mesh.up(), CONNECT_PATIENCE)
        await self._while_it_serves(self._mesh.connected(), self._place.patience)
        if self._stop.is_set():
            return
        await self._listeners.begin()
        self.state = "ready"
        # What was made so far lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        links = self._mesh.parts.links.values()
        self._announce(
            {
                "event": "ready",
                "gateway": self.spec.name,
                "version": __version__,
                "native": native.PARTS.used,
                **self._listeners.urls,
                "brokers": [self.broker_url(key) for key in self.spec.brokers],
                "triggers": len(self.spec.triggers),
                "transports": {link.name: "up" if link.up.is_set() else link.detail for link in links},
                "digest": self.spec.digest,
            }
        )

    async def _while_it_serves(self, work: Coroutine[Any, Any, None], patience: float) -> None:
        """Wait for this, no longer than so many seconds, and not when the process is told to stop."""
        stopping = asyncio.ensure_future(self._stop.wait())
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait({stopping, working}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end([stopping, working])

    def _observers(self) -> Observers:
        settings = {"gateway": self.spec.name, "cluster": self.spec.cluster}
        return Observers(self._plugins.observers(settings), self._mesh)

    def health(self) -> list[dict[str, Any]]:
        """What the health checks of plugins find."""
        return [
            {"name": check.name, "ok": ok, "detail": detail}
            for check in self._plugins.health_checks
            for ok, detail in [checked(check)]
        ]

    def _surroundings(self, spec: GatewaySpec) -> Surroundings:
        return Surroundings(
            plugins=self._plugins,
            clock=asyncio.get_running_loop(),
            watches=self.watches,
            ingress_url=partial(planned_url, spec.ingress),
            on_unreadable=self._unreadable,
            on_fatal=self._fatal,
            placed=self._place.placed,
        )

    def _unreadable(self, channel: str, why: str) -> None:
        self.unreadable[channel] += 1
        log.error("something that was stored is damaged or gone", channel=channel, reason=why)

    def _fatal(self, why: str) -> None:
        log.critical("the store cannot be trusted any more; the process ends", reason=why)
        self._exit = EXIT_STORE
        self._stop.set()

    def _told_to_stop(self) -> None:
        if self._stop.is_set() and self._place.alone:
            os._exit(EXIT_AT_ONCE)
        self._stop.set()


def checked(check: HealthCheck) -> tuple[bool, str]:
    """One plugin's check; one that raises is one that failed."""
    try:
        return check.run()
    except Exception as error:  # noqa: BLE001  # a plugin's code
        return False, f"{type(error).__name__}: {error}"


def planned_url(ingress: IngressSpec, broker: str) -> str:
    """A broker's URL as the documents have it."""
    return f"{'https' if ingress.tls else 'http'}://{ingress.host}:{ingress.port}/{broker}"
