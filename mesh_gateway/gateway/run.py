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
import signal
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import structlog

from mesh_gateway import __version__
from mesh_gateway.delivery.watch import Watches
from mesh_gateway.errors import MeshError
from mesh_gateway.gateway import doors, logs, status
from mesh_gateway.gateway.assembly import assemble
from mesh_gateway.gateway.mesh import Mesh
from mesh_gateway.gateway.observe import Observers
from mesh_gateway.gateway.parts import Parts, Surroundings
from mesh_gateway.gateway.supervise import Part, supervise
from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits
from mesh_gateway.ingress.listener import Listener
from mesh_gateway.topology.spec import AdminSpec, GatewaySpec, IngressSpec, TLSServerSpec
from mesh_gateway.transport.hooks import HealthCheck
from mesh_gateway.transport.plugins import Plugins
from mesh_gateway.wire.http import Limits

log = structlog.get_logger("mesh_gateway")

EXIT_OK = 0
EXIT_STORE = 74
EXIT_CONFIGURATION = 78
EXIT_AT_ONCE = 143

CONNECT_PATIENCE = 2.0
"""Seconds for the transports before `ready` is said without them: longer than opening a large
embedded store, shorter than anybody waits for a first line."""

Announce = Callable[[dict[str, Any]], None]


def serve(
    spec: GatewaySpec,
    plugins: Plugins,
    *,
    dev: bool = False,
    log_level: str = "info",
    announce: Announce | None = None,
) -> int:
    """Run one gateway until it is told to stop; the process's exit code. Call it once, in the main thread."""
    logs.configure("warning" if dev and log_level == "info" else log_level)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(GatewayProcess(spec, plugins, announce or _log_ready).run())


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """A loop of uvloop where it is installed; the standard loop elsewhere."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _log_ready(facts: dict[str, Any]) -> None:
    log.info("ready", **{key: value for key, value in facts.items() if key != "event"})


class CannotListen(MeshError):
    """A listener cannot be opened; says why and what to do."""


class GatewayProcess:
    """The gateway of this process; what the admin API shows."""

    def __init__(self, spec: GatewaySpec, plugins: Plugins, announce: Announce) -> None:
        self.spec = spec
        self.watches = Watches()
        self.state = "starting"
        self.unreadable: Counter[str] = Counter()
        self.ingress_counters = IngressCounters()
        self._plugins = plugins
        self._announce = announce
        self._stop = asyncio.Event()
        self._exit = EXIT_OK
        self._urls: dict[str, str] = {}
        self._mesh: Mesh
        self._exporter: Any = None

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
            self.spec,
            version=__version__,
            state=self.state,
            urls=self._urls,
            broker_url=self.broker_url,
        )

    async def metrics(self) -> bytes:
        """The text of `/metrics`."""
        if self._exporter is None:
            from mesh_gateway.gateway.metrics import Exporter

            self._exporter = Exporter(self._mesh, self.spec, self.ingress_counters, self.unreadable)
        rendered: bytes = await self._exporter.render()
        return rendered

    def broker_url(self, key: str) -> str:
        return f"{self._urls.get('ingress', '')}/{key}"

    async def run(self) -> int:
        """Serve until a signal or a fatal error; the exit code."""
        try:
            parts = assemble(self.spec, self._surroundings())
        except MeshError as error:
            log.error("cannot start", reason=str(error))
            return EXIT_CONFIGURATION
        self._mesh = Mesh(parts, grace=self.spec.drain_timeout)
        try:
            async with contextlib.AsyncExitStack() as stack:
                stack.enter_context(self._signals())
                listener = await stack.enter_async_context(self._ingress())
                await stack.enter_async_context(self._admin())
                await self._serve(listener)
        except CannotListen as error:
            log.error("cannot start", reason=str(error))
            return EXIT_CONFIGURATION
        return self._exit

    async def _serve(self, listener: Listener) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self._mesh.run())
            observing = tasks.create_task(supervise(Part("observers"), self._observers().run))
            await self._say_ready()
            await self._stop.wait()
            self.state = "draining"
            log.info("draining")
            if self._exit == EXIT_STORE:
                # Nothing that this process says about the store is worth anything now.
                os._exit(EXIT_STORE)
            await listener.drain()
            self._mesh.stop()
            await running
            observing.cancel()
        log.info("stopped")

    async def _say_ready(self) -> None:
        stopping = asyncio.ensure_future(self._stop.wait())
        connected = asyncio.ensure_future(self._mesh.up())
        try:
            await asyncio.wait(
                {stopping, connected}, timeout=CONNECT_PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for waiting in (stopping, connected):
                waiting.cancel()
        if self._stop.is_set():
            return
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
                **self._urls,
                "brokers": [self.broker_url(key) for key in self.spec.brokers],
                "triggers": len(self.spec.triggers),
                "transports": {link.name: "up" if link.up.is_set() else link.detail for link in links},
                "digest": self.spec.digest,
            }
        )

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

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            plugins=self._plugins,
            clock=asyncio.get_running_loop(),
            watches=self.watches,
            ingress_url=self._planned_url,
            on_unreadable=self._unreadable,
            on_fatal=self._fatal,
        )

    def _planned_url(self, broker: str) -> str:
        ingress = self.spec.ingress
        return f"{'https' if ingress.tls else 'http'}://{ingress.host}:{ingress.port}/{broker}"

    def _unreadable(self, channel: str, why: str) -> None:
        self.unreadable[channel] += 1
        log.error("a stored record is damaged and was set aside", channel=channel, reason=why)

    def _fatal(self, why: str) -> None:
        log.critical("the store cannot be trusted any more; the process ends", reason=why)
        self._exit = EXIT_STORE
        self._stop.set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)

        def received() -> None:
            if self._stop.is_set():
                os._exit(EXIT_AT_ONCE)
            self._stop.set()

        for number in numbers:
            loop.add_signal_handler(number, received)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    @contextlib.asynccontextmanager
    async def _ingress(self) -> AsyncIterator[Listener]:
        ingress = self.spec.ingress
        endpoint = Endpoint(
            {key: home.broker for key, home in self._mesh.parts.brokers.items()},
            ingress_limits(ingress),
            self.ingress_counters,
            lambda: self.ready,
            peers=doors.peers(self.spec.peers),
            doors={
                key: doors.Door(home.receiver, wire_limits(ingress))
                for key, home in self._mesh.parts.brokers.items()
                if home.receiver is not None
            },
        )
        listener = Listener(endpoint)
        context = None
        if ingress.tls is not None:
            context = server_context(ingress.tls)
        port = await listening(
            listener.open(ingress.host, ingress.port, tls=context), ingress.host, ingress.port, "--ingress"
        )
        self._urls["ingress"] = f"{'https' if context else 'http'}://{shown(ingress.host)}:{port}"
        try:
            yield listener
        finally:
            await listener.close()

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[None]:
        import socket

        import uvicorn

        from mesh_gateway.gateway.admin import application

        admin: AdminSpec = self.spec.admin
        app = application(self, None if admin.token is None else admin.token.value)
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        family = socket.AF_INET6 if ":" in admin.host else socket.AF_INET
        door = socket.socket(family, socket.SOCK_STREAM)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((admin.host, admin.port))
        except OSError as error:
            door.close()
            raise CannotListen(cannot_listen(admin.host, admin.port, "--admin", error)) from error
        self._urls["admin"] = f"http://{shown(admin.host)}:{door.getsockname()[1]}"
        server = quiet_server(config)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[door]))
            try:
                yield
            finally:
                server.should_exit = True
                await serving


def quiet_server(config: Any) -> Any:
    """A uvicorn server that leaves signals to the gateway."""
    import uvicorn

    class QuietServer(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return QuietServer(config)


def checked(check: HealthCheck) -> tuple[bool, str]:
    """One plugin's check; one that raises is one that failed."""
    try:
        return check.run()
    except Exception as error:  # noqa: BLE001  # a plugin's code
        return False, f"{type(error).__name__}: {error}"


def server_context(files: TLSServerSpec) -> ssl.SSLContext:
    """TLS of the data listener. Raises `CannotListen` naming the files.

    Clients are asked for a certificate where authorities for them are named; producers need none.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.client_authorities is not None:
        context.load_verify_locations(cadata=files.client_authorities)
        context.verify_mode = ssl.CERT_OPTIONAL
    try:
        context.load_cert_chain(files.certificate, files.key)
    except OSError as error:
        what = error.strerror or str(error)
        raise CannotListen(
            f"ingress.tls: {files.certificate} with {files.key} cannot be used: {what}"
        ) from error
    return context


def ingress_limits(spec: IngressSpec) -> IngressLimits:
    """The data path's record of the document's numbers."""
    names = IngressLimits.__dataclass_fields__
    return IngressLimits(**{name: getattr(spec, name) for name in names})


def wire_limits(spec: IngressSpec) -> Limits:
    """The same for who decodes bodies."""
    return Limits(spec.max_event_bytes, spec.max_batch_events, spec.max_batch_bytes)


async def listening(opening: Any, host: str, port: int, option: str) -> int:
    """The port that was opened. Raises `CannotListen` with what to do."""
    try:
        opened: int = await opening
    except OSError as error:
        raise CannotListen(cannot_listen(host, port, option, error)) from error
    return opened


def cannot_listen(host: str, port: int, option: str, error: OSError) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"cannot listen on {host}:{port}: {reason}; choose another address with {option} HOST:PORT"


def shown(host: str) -> str:
    """The host as part of a URL that works on this machine."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
