"""The extension points of Mesh Gateway: what a plugin may give, and the records it gives.

A plugin is a module named by an entry point in the group `mesh_gateway`; it implements any of
these with `@hookimpl` and returns records that hold *import strings* ("package.module:name"),
so that installing a plugin costs nothing until a document uses it. Hooks are called at start
and by `lint`, never per event.

    from mesh_gateway.transport.hooks import TransportKind, hookimpl

    @hookimpl
    def mesh_transports():
        return [TransportKind(name="nats", load="mesh_nats.transport:NatsTransport",
                              options="mesh_nats.options:NatsOptions")]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

from mesh_gateway.transport.contract import TRANSPORT_API

GROUP = "mesh_gateway"
"""Entry-point group and pluggy project name."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True, slots=True)
class TransportKind:
    """A kind of transport, as `Transport.spec.kind` names it."""

    name: str
    load: str
    """`module:callable`; called with (options model instance, TransportContext), gives a Transport."""
    options: str
    """`module:class` of a pydantic model of `Transport.spec.options`, every field described."""
    api: int = TRANSPORT_API
    summary: str = ""
    broker_classes: tuple[str, ...] = ()
    """Knative broker classes whose `spec.config` this kind can read (`Kafka`, `RabbitMQBroker`)."""
    broker_options: str | None = None
    """`module:function(document: Mapping[str, Any]) -> dict[str, str]`: from the whole document that a
    broker's `spec.config` names (a ConfigMap, or a kind of the class's own, as YAML gives it) to the
    options of the broker's channels. Raises `ValueError` with a sentence."""
    broker_annotations: tuple[tuple[str, str], ...] = ()
    """(annotation of a Broker, option of its channels that the value becomes)."""
    broker_secret: str | None = None
    """Which of the options that `broker_options` gives names a Secret, in the namespace of the config (Knative's
    `auth.secret.ref.name`). Its values become further options of the broker's channels, `secret.<key>`, which no
    message may show."""
    install_hint: str = ""


@dataclass(frozen=True, slots=True)
class FilterKind:
    """A filter dialect beside the built-in ones."""

    dialect: str
    compile: Callable[[Any], Callable[[Mapping[str, str]], bool]]
    """From the document's value to a pure function of the attributes; raises ValueError with a sentence."""


@dataclass(frozen=True, slots=True)
class SinkKind:
    """A URI scheme that a subscriber or dead letter sink may use."""

    scheme: str
    load: str
    """`module:callable`; called with (uri), gives a `mesh_gateway.delivery.sink.Sink`."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A check of `doctor` and `/readyz?verbose`. `run` gives (ok, detail)."""

    name: str
    summary: str
    run: Callable[[], tuple[bool, str]]


@hookspec
def mesh_transports() -> Iterable[TransportKind]:
    """Kinds of transport this plugin brings."""
    raise NotImplementedError


@hookspec
def mesh_filters() -> Iterable[FilterKind]:
    """Filter dialects this plugin brings."""
    raise NotImplementedError


@hookspec
def mesh_sinks() -> Iterable[SinkKind]:
    """URI schemes this plugin can deliver to."""
    raise NotImplementedError


@hookspec
def mesh_observers(settings: Mapping[str, Any]) -> Any:
    """An object told of outcomes in batches (`observe(counts: Mapping[str, int])`), or None."""


@hookspec
def mesh_health_checks() -> Iterable[HealthCheck]:
    """Checks for `doctor` and readiness."""
    raise NotImplementedError


@hookspec
def mesh_commands(cli: Any) -> None:
    """Add commands to the Click group `cli`; called only for a name that is not built in."""
