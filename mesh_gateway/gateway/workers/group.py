"""The parent of several workers: it has the documents, the signals, the port and the admin API, and touches no event.

    check ─▶ hold the state ─▶ take port and admin address ─▶ start workers ─▶ ready … SIGTERM ─▶ stop all ─▶ 0

No worker is started while documents are changed, so each begins with what all serve.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from mesh_gateway import __version__, native
from mesh_gateway.errors import MeshError, StoreDamaged
from mesh_gateway.gateway import signals
from mesh_gateway.gateway.admin.application import application
from mesh_gateway.gateway.documents import Documents
from mesh_gateway.gateway.leaving import end
from mesh_gateway.gateway.process import (
    EXIT_AT_ONCE,
    EXIT_CONFIGURATION,
    EXIT_OK,
    EXIT_STORE,
    Announce,
)
from mesh_gateway.gateway.reload import Reloader
from mesh_gateway.gateway.status import configured
from mesh_gateway.gateway.supervise import Part, supervise
from mesh_gateway.gateway.workers import shares, stores
from mesh_gateway.gateway.workers.admin.resources import resources_of
from mesh_gateway.gateway.workers.asking import Asking
from mesh_gateway.gateway.workers.change import go_over
from mesh_gateway.gateway.workers.control import Begin
from mesh_gateway.gateway.workers.front import Front
from mesh_gateway.gateway.workers.merging import merged
from mesh_gateway.gateway.workers.metrics import Exporter
from mesh_gateway.gateway.workers.survey import Survey
from mesh_gateway.gateway.workers.worker import Worker
from mesh_gateway.topology.spec import GatewaySpec, TransportSpec
from mesh_gateway.transport.contract import Capabilities
from mesh_gateway.transport.negotiation import declared
from mesh_gateway.transport.plugins import Plugins, import_string

log = structlog.get_logger("mesh_gateway.workers")

EXIT_UNFINISHED = 70
"""A worker that was told to stop did not end in order: what it had under way comes again at the next start."""

IN_ORDER = (EXIT_OK, -signal.SIGTERM)
"""Exit codes of workers that were told to stop: also before they had anything to stop."""


class Group:
    """The gateway of these workers; what its admin API shows. `run` has one owner."""

    def __init__(
        self, documents: Documents, plugins: Plugins, announce: Announce, workers: int, log_level: str
    ) -> None:
        self.spec = documents.spec
        self.state = "starting"
        self.reloader = Reloader(documents.spec, documents.load, self._apply)
        self._documents = documents
        self._plugins = plugins
        self._announce = announce
        self._count = workers
        self._log_level = log_level
        self._workers: list[Worker] = []
        self._changing = asyncio.Lock()
        self._stop = asyncio.Event()
        self._exit = EXIT_OK
        self._front = Front(lambda token: application(resources_of(self), token))
        self._survey = Survey(self._workers, workers)

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> int:
        """Serve until a signal, or until no worker can begin; the exit code."""
        try:
            shares.refuse(self.spec, self._count, self._can)
            with stores.held(shares.state_of(self.spec)) as socket_path:
                shares.refuse_other_number(self.spec, self._count)
                stores.note_number(shares.state_of(self.spec), self._count)
                await self._front.open(self.spec)
                try:
                    self._workers += [self._worker(number, socket_path) for number in self._numbers()]
                    hangups = self._documents.hangups
                    with signals.handled(self._told_to_stop, self.reloader.ask, hangups):
                        await self._serve()
                finally:
                    self._front.close()
        except MeshError as error:
            log.error("cannot start", reason=str(error))
            return EXIT_STORE if isinstance(error, StoreDamaged) else EXIT_CONFIGURATION
        return self._exit

    def _numbers(self) -> list[int]:
        left = stores.left_over(shares.state_of(self.spec), self._count)
        for number in left:
            log.warning(
                "a worker that is no more has left events; one without ingress delivers them", worker=number
            )
        return [*range(self._count), *left]

    def _worker(self, number: int, socket_path: Callable[[str], str]) -> Worker:
        return Worker(number, socket_path, partial(self._begin, number), self._changing)

    def _begin(self, number: int) -> Begin:
        return Begin(
            number=number,
            spec=self._share(number, self.spec, self._front.port.number),
            ingress="shared" if number < self._count else "none",
            workers=self._count,
            folder=str(shares.state_of(self.spec).absolute() / stores.FOLDER),
            log_level=self._log_level,
            options=self._documents.options,
            path=tuple(sys.path),
        )

    def _share(self, number: int, spec: GatewaySpec, port: int) -> GatewaySpec:
        share = shares.share(spec, number, self._count)
        return replace(share, ingress=replace(share.ingress, port=port))

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            admin = tasks.create_task(self._front.run())
            running = [tasks.create_task(self._kept(worker)) for worker in self._workers]
            reload = tasks.create_task(supervise(Part("reload"), self.reloader.run))
            reload.add_done_callback(lambda done: self.reloader.end())
            beside = [reload, tasks.create_task(self._say_ready())]
            if self._documents.changes is not None:
                watch = partial(self._watch, self._documents.changes)
                beside.append(tasks.create_task(supervise(Part("watch"), watch)))
            await self._stop.wait()
            self.state = "draining"
            log.info("draining")
            await end(beside)
            for worker in self._workers:
                worker.stop()
            await asyncio.wait(running)
            self._judge()
            self._front.stop()
            await admin
        log.info("stopped")

    async def _kept(self, worker: Worker) -> None:
        await worker.run()
        if worker.state == "failed":
            self._exit = EXIT_CONFIGURATION
            self._stop.set()

    def _judge(self) -> None:
        """The exit code, by how the workers have ended."""
        unfinished = [
            worker for worker in self._workers if worker.code not in (*IN_ORDER, EXIT_CONFIGURATION)
        ]
        if unfinished and self._exit == EXIT_OK:
            store = any(worker.code == EXIT_STORE for worker in unfinished)
            self._exit = EXIT_STORE if store else EXIT_UNFINISHED
            log.error("not all workers ended in order", workers=[worker.number for worker in unfinished])

    async def _watch(self, changes: Callable[[], Any]) -> None:
        async for _ in changes():
            self.reloader.ask()

    async def _say_ready(self) -> None:
        for worker in self._serving:
            await worker.up.wait()
        self.state = "ready"
        facts = [worker.facts for worker in self._serving]
        self._announce(
            {
                **facts[0],
                **self._front.urls,
                "brokers": [self.broker_url(key) for key in self.spec.brokers],
                "transports": {name: _of_all(name, facts) for name in facts[0]["transports"]},
                "workers": self._count,
            }
        )

    def _told_to_stop(self) -> None:
        if self._stop.is_set():
            for worker in self._workers:
                worker.kill()
            os._exit(EXIT_AT_ONCE)
        self._stop.set()

    # ── changing ─────────────────────────────────────────────────────────────────────────────

    async def _apply(self, spec: GatewaySpec) -> None:
        """Go over to `spec` in all workers. Raises `MeshError` with nothing changed."""
        shares.refuse(spec, self._count, self._can)
        port, admin = await self._front.opened_for(spec)
        applied = False
        try:
            async with self._changing:
                new = partial(self._share, spec=spec, port=(port or self._front.port).number)
                old = partial(self._share, spec=self.spec, port=self._front.port.number)
                await go_over(self._workers, new, old)
                self.spec = spec
                self._front.change(spec, port, admin)
                applied = True
        finally:
            if not applied:
                for one in (port, admin):
                    if one is not None:
                        one.close()

    def _can(self, spec: TransportSpec) -> Capabilities | None:
        kind = self._plugins.transports.get(spec.kind)
        return None if kind is None else declared(kind, spec.options, import_string)

    # ── what can be seen ─────────────────────────────────────────────────────────────────────

    @property
    def options(self) -> frozenset[str]:
        return self._documents.options

    @property
    def _serving(self) -> list[Worker]:
        """Those that take connections, when they run."""
        return self._workers[: self._count]

    @property
    def asked(self) -> Mapping[int, Asking]:
        """The workers that serve at this moment, by number."""
        return {worker.number: worker.asking for worker in self._workers if worker.up.is_set()}

    @property
    def away(self) -> Sequence[int]:
        """Those that should, and do not."""
        return [worker.number for worker in self._workers if not worker.up.is_set()]

    def broker_url(self, key: str) -> str:
        return f"{self._front.port.url}/{key}"

    async def ready(self) -> bool:
        """At first when every worker that takes connections is ready; from then on while one of them is.

        One that is started again may wait for its place among the readers for as long as its broker still believes in the
        one that died. That is no reason to send nothing to the others, nor to it: it can store events.
        """
        return self.state == "ready" and await self._survey.ready()

    async def status(self) -> dict[str, Any]:
        """The document behind `mesh-gateway status`."""
        reloads = self.reloader.reloads
        found = await self._survey.statuses()
        return {
            "gateway": self.spec.name,
            "cluster": self.spec.cluster,
            "version": __version__,
            "native": native.PARTS.used,
            "generation": reloads.generation,
            "digest": self.spec.digest,
            "state": self.state,
            "conditions": [configured(reloads)],
            "reload": reloads.document(),
            **self._front.urls,
            "workers": self._survey.documents(heard=found),
            **merged(found, partial(shares.local, self.spec), self.broker_url),
        }

    async def metrics(self) -> bytes:
        """The text of `/metrics`."""
        families = await self._survey.families(partial(shares.local, self.spec))
        workers = self._survey.documents()
        return Exporter(families, self.reloader.reloads, self.spec.digest, workers).render()


def _of_all(name: str, facts: Sequence[Mapping[str, Any]]) -> str:
    """`up`, or why one of them is not."""
    return next((one["transports"][name] for one in facts if one["transports"][name] != "up"), "up")
