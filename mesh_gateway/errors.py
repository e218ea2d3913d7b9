"""Every error that Mesh Gateway raises on purpose, and who is expected to act on it.

    MeshError
    ├── TopologyError             the documents: one per fault, each with its place and code
    ├── PluginError               a plugin: its author or whoever installed it
    │   ├── UnknownKind           no plugin registered that transport, dialect or scheme
    │   ├── DuplicateKind         two plugins claim the same name
    │   └── IncompatiblePlugin    written for another TRANSPORT_API
    ├── EventError(status)        the producer: answered with that HTTP status, nothing stored
    │   ├── InvalidEvent          400, names every failing attribute
    │   ├── HopsExhausted         400, the event has passed too many brokers
    │   ├── EventTooLarge         413
    │   └── UnsupportedMediaType  415
    └── TransportError            the broker behind a channel; the core decides what to do
        ├── ConnectionLost        the supervisor reopens
        ├── Throttled             wait `retry_after`, same connection
        ├── StoreFull             no room left; reading and settling go on
        ├── PublishError          these events are not durable, or nobody can know
        ├── ChannelGone           the channel was deleted: the operator's turn
        ├── NotPermitted          names the missing permission
        ├── Unsupported           the transport cannot do this and says so
        └── StoreDamaged          the embedded store file cannot be trusted

Expected endings of a delivery are values (`mesh_gateway.delivery.sink.Outcome`), not exceptions.
A plugin raises these `from` its client library's own error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class MeshError(Exception):
    """Root of the tree. `str()` of any of them is a sentence fit for a user."""


class TopologyError(MeshError):
    """The documents cannot be served; `str()` is the whole report, one fault a line."""


class PluginError(MeshError):
    """A plugin cannot be used."""


class UnknownKind(PluginError):
    """Nobody registered the kind that a document names."""


class DuplicateKind(PluginError):
    """Two plugins registered the same kind."""


class IncompatiblePlugin(PluginError):
    """The plugin was built for another version of the transport contract."""


class EventError(MeshError):
    """The event cannot be accepted; `status` is the HTTP status to answer."""

    status = 400


class InvalidEvent(EventError):
    """Not a valid CloudEvent. `faults` holds one sentence for every failing attribute."""

    def __init__(self, faults: Iterable[str] | str) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("; ".join(self.faults))


class HopsExhausted(EventError):
    """The event has passed the last broker it may pass (`knativebrokerttl` is spent)."""


class EventTooLarge(EventError):
    """The event, or the batch, is over a limit; the message names the limit."""

    status = 413


class UnsupportedMediaType(EventError):
    """A CloudEvents format or a content coding that is not read here."""

    status = 415


class TransportError(MeshError):
    """A transport failed. `retry_after` is in seconds, when the transport knows."""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message or type(self).__doc__ or "transport error")
        self.retry_after = retry_after


class ConnectionLost(TransportError):
    """The connection to the broker is gone."""


class Throttled(TransportError):
    """The broker asks us to slow down."""


class StoreFull(TransportError):
    """There is no room for another event; settling what is there makes room."""


class PublishError(TransportError):
    """Some events of a publish are not durable.

    `failed` holds the indexes that are certainly not stored, `unknown` those whose
    outcome nobody can know (they may turn up later), and `refused` those that this
    transport can never store, with what their producer is to be told (`EventTooLarge`
    naming the limit). An index in none of them is durable.
    """

    def __init__(
        self,
        message: str,
        *,
        failed: Iterable[int] = (),
        unknown: Iterable[int] = (),
        refused: Mapping[int, EventError] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.failed = frozenset(failed)
        self.unknown = frozenset(unknown)
        self.refused: Mapping[int, EventError] = {} if refused is None else refused


class ChannelGone(TransportError):
    """The channel does not exist (any more)."""


class NotPermitted(TransportError):
    """The broker refuses us; the message names the action and the resource."""


class Unsupported(TransportError):
    """The transport cannot do what was asked, and never pretends to."""


class StoreDamaged(TransportError):
    """The embedded store file is damaged or in use; the message says what to do."""
