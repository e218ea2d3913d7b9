"""The data listener: what the parts of a gateway serve, at the address of their documents."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from mesh_gateway.gateway import doors
from mesh_gateway.gateway.addresses import CannotListen, address_of, cannot_listen, shown
from mesh_gateway.gateway.parts import Parts
from mesh_gateway.ingress.endpoint import Endpoint
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits
from mesh_gateway.ingress.listener import Listener
from mesh_gateway.topology.spec import IngressSpec, TLSServerSpec
from mesh_gateway.transport.passphrase import no_passphrase
from mesh_gateway.wire.http import Limits


class Ingress:
    """The data listener. `open`, `begin`, `serve` and `take_over` have one owner."""

    def __init__(self, counters: IngressCounters, ready: Callable[[], bool], *, shared: bool = False) -> None:
        """`shared`: other processes listen on the same port."""
        self.url = ""
        self._counters = counters
        self._ready = ready
        self._shared = shared
        self._endpoint: Endpoint
        self._listener: Listener
        self._spec: IngressSpec

    async def open(self, parts: Parts, before: Ingress | None = None) -> None:
        """Listen for what these parts serve; on the socket of `before` where the address is the same. Raises `CannotListen`.

        Where the port is shared, nobody can connect before `begin`, unless somebody could `before`.
        """
        spec = self._spec = parts.spec.ingress
        self._endpoint = Endpoint(
            brokers_of(parts),
            ingress_limits(spec),
            self._counters,
            self._ready,
            peers=doors.peers(parts.spec.peers),
            doors=doors_of(parts),
        )
        context = None if spec.tls is None else server_context(spec.tls)
        self._listener = Listener(self._endpoint)
        try:
            handed = before._listener.handed_over() if before is not None and before.is_at(spec) else []
            port = await self._listener.open(
                spec.host,
                spec.port,
                tls=context,
                reuse_port=self._shared,
                doors=handed,
                later=self._shared and before is None,
            )
        except OSError as error:
            await self._listener.close()
            raise CannotListen(cannot_listen(spec.host, spec.port, "--ingress", error)) from error
        self.url = f"{'https' if context else 'http'}://{shown(spec.host)}:{port}"

    async def begin(self) -> None:
        """As `Listener.begin`."""
        await self._listener.begin()

    def is_at(self, spec: IngressSpec) -> bool:
        """Whether its address is that of these documents."""
        return address_of(self._spec) == address_of(spec)

    def can_serve(self, spec: IngressSpec) -> bool:
        """Whether this listener can serve these documents without being opened anew."""
        return self.is_at(spec) and self._spec.tls == spec.tls

    def serve(self, parts: Parts) -> None:
        """Serve these parts from the next head on."""
        self._spec = parts.spec.ingress
        self._endpoint.change(
            brokers_of(parts),
            ingress_limits(self._spec),
            peers=doors.peers(parts.spec.peers),
            doors=doors_of(parts),
        )

    async def drain(self, *, handed_over: bool = False) -> None:
        """As `Listener.drain`."""
        await self._listener.drain(handed_over=handed_over)

    async def closed(self) -> None:
        """As `Listener.closed`."""
        await self._listener.closed()

    async def close(self) -> None:
        """As `Listener.close`."""
        await self._listener.close()


class NoIngress(Ingress):
    """In place of the data listener of a process that nobody can send to."""

    async def open(self, parts: Parts, before: Ingress | None = None) -> None:
        pass

    async def begin(self) -> None:
        pass

    def can_serve(self, spec: IngressSpec) -> bool:
        return True

    def serve(self, parts: Parts) -> None:
        pass

    async def drain(self, *, handed_over: bool = False) -> None:
        pass

    async def closed(self) -> None:
        pass

    async def close(self) -> None:
        pass


def brokers_of(parts: Parts) -> dict[str, Any]:
    """What the ingress gives events to, by `namespace/name`."""
    return {key: home.broker for key, home in parts.brokers.items()}


def doors_of(parts: Parts) -> dict[str, doors.Door]:
    """What peers may send into."""
    limits = wire_limits(parts.spec.ingress)
    return {
        key: doors.Door(home.receiver, limits, offers=doors.several_ways(key, parts.spec))
        for key, home in parts.brokers.items()
        if home.receiver is not None
    }


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
        context.load_cert_chain(files.certificate, files.key, no_passphrase)
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
