"""From a request to a broker and back to a status.

The checks, in their order: framing (before this room), method, path, credential, size, event, hops, durability. Probes
are answered on any path, as Knative's ingress does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from mesh_gateway.errors import (
    EventError,
    EventTooLarge,
    HopsExhausted,
    MeshError,
    TransportError,
    UnsupportedMediaType,
)
from mesh_gateway.event import Event
from mesh_gateway.ingress.framing import Head
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits, InHand
from mesh_gateway.ingress.peers import ANONYMOUS, TRANSFER, FromPeer, Peers, Receiving, not_into
from mesh_gateway.ingress.responses import ALLOW, CONSENT, Answer, busy, unavailable
from mesh_gateway.wire import http

if TYPE_CHECKING:
    from mesh_gateway_native.requests import PlainHead


class Accepting(Protocol):
    """A broker, as the ingress sees it."""

    def accept(self, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        """Store `events`. May raise `EventError` at once, with nothing stored. Else calls `done` later,
        never before it returns: None once all are durable, an error when that is not so or not known.
        """
        ...


class Waiting(Protocol):
    """A request whose outcome is told later, once, in one of two ways."""

    def __call__(self, error: MeshError | None) -> None:
        """All events are durable, or why not."""
        ...

    def answered(self, answer: Answer) -> None:
        """The answer is known."""
        ...


_broker_shaped = re.compile(rb"/[^/]+/[^/]+/?").fullmatch
_authority = re.compile(rb"https?://[^/?#]+", re.IGNORECASE).match

_REASONS: dict[type[EventError], str] = {
    EventTooLarge: "size",
    HopsExhausted: "hops",
    UnsupportedMediaType: "media type",
}
"""The counted word of an `EventError`; "event" for all others."""

QUERY: Final = ord("?")
"""A number: with a `bytes` CPython formats an error first, which it then throws away (0.7 µs an event)."""

FULL = busy("too many events are on their way to the store; send again")
STOPPING = unavailable("this gateway is stopping; send to another, or again", reason="draining", close=True)


class Endpoint:
    """Knows the brokers and their paths. One for all connections of a listener."""

    def __init__(
        self,
        brokers: Mapping[str, Accepting],
        limits: IngressLimits,
        counters: IngressCounters,
        ready: Callable[[], bool],
        *,
        peers: Peers | None = None,
        doors: Mapping[str, Receiving] | None = None,
    ) -> None:
        self.counters = counters
        self.in_hand = InHand(limits)
        self.draining = False
        self._ready = ready
        self.change(brokers, limits, peers=peers, doors=doors)

    def change(
        self,
        brokers: Mapping[str, Accepting],
        limits: IngressLimits,
        *,
        peers: Peers | None = None,
        doors: Mapping[str, Receiving] | None = None,
    ) -> None:
        """Serve these, within these limits, from the next head on."""
        self.limits = limits
        self.plain_bytes = min(limits.max_header_bytes, limits.max_headers_bytes)
        """Of a head no longer than this neither a header nor the whole is too long."""
        self.in_hand.bound(limits)
        self._wire_limits = http.Limits(
            limits.max_event_bytes, limits.max_batch_events, limits.max_batch_bytes
        )
        self._peers = peers
        self._doors = {b"/" + key.encode(): door for key, door in (doors or {}).items()}
        self.replace_brokers(brokers)

    def replace_brokers(self, brokers: Mapping[str, Accepting]) -> None:
        """Serve these from the next head on; `namespace/name` to broker. Requests whose head was read
        before stay with the broker they were routed to.
        """
        paths: dict[bytes, Accepting] = {}
        for key, broker in brokers.items():
            path = b"/" + key.encode()
            paths[path] = paths[path + b"/"] = broker
        self._paths = paths

    # ── before the body ──────────────────────────────────────────────────────────────────────

    def route(self, head: Head | PlainHead, names: frozenset[str] = frozenset()) -> Accepting | Answer:
        """The broker of a request, or the answer that is due before its body is read.

        `names`: those of the client's certificate.
        """
        path = head.target
        if path[:1] != b"/":
            path = _origin_form(path)
        if QUERY in path:
            path = path.partition(b"?")[0]
        fields = head.fields
        if b"k-network-probe" in fields or fields.get(b"user-agent", b"")[:11] == b"kube-probe/":
            answer = self._probe(fields)
            if answer is not None:
                return answer
        if head.method != b"POST":
            return self._not_post(head, path, names)
        broker = self._paths.get(path)
        if broker is None:
            return _unknown(path)
        if self.draining:
            return STOPPING
        if names or b"authorization" in fields or TRANSFER in fields:
            asked = self._from_peer(head, path, names)
            if isinstance(asked, Answer):
                return asked
            broker = asked or broker
        return self._limited(head, broker)

    def _from_peer(
        self, head: Head | PlainHead, path: bytes, names: frozenset[str]
    ) -> FromPeer | Answer | None:
        """A peer's way in; None for a producer, who shows no credential that means anything here."""
        fields = head.fields
        who = None if self._peers is None else self._peers.who(fields.get(b"authorization"), names)
        if who is None:
            return ANONYMOUS if TRANSFER in fields and head.method == b"POST" else None
        if isinstance(who, Answer):
            return who
        key = path.strip(b"/").decode("latin-1")
        door = self._doors.get(path.rstrip(b"/"))
        if door is None or (who.brokers and key not in who.brokers):
            return not_into(who, key)
        return FromPeer(door, who, TRANSFER in fields)

    def _probe(self, fields: Mapping[bytes, bytes]) -> Answer | None:
        """Knative's own probes, on any path (its ingress handler does the same)."""
        if fields.get(b"user-agent", b"")[:11] == b"kube-probe/":
            return unavailable("this gateway is stopping", reason="probe") if self.draining else Answer(200)
        if fields.get(b"k-network-probe") != b"probe":
            return None
        hashed = fields.get(b"k-network-hash", b"").decode("latin-1")
        return Answer(200, headers=(("k-network-hash", hashed),) if hashed else ())

    def _not_post(self, head: Head | PlainHead, path: bytes, names: frozenset[str]) -> Answer:
        method = head.method
        if method in (b"GET", b"HEAD"):
            if path == b"/healthz":
                return Answer(200)
            if path == b"/readyz":
                if self._ready() and not self.draining:
                    return Answer(200)
                return unavailable("this gateway is not ready for events", reason="probe")
        if method == b"OPTIONS":
            return self._options(head, path, names) if _broker_shaped(path) else _unknown(path)
        # A tunnel is not even asked for: whatever follows its head is no request to us.
        return Answer(405, "method", "events are sent with POST", (ALLOW,), close=method == b"CONNECT")

    def _options(self, head: Head | PlainHead, path: bytes, names: frozenset[str]) -> Answer:
        """Consent to webhooks; and to a peer who asks for them, the terms of transfers."""
        if TRANSFER not in head.fields:
            return Answer(200, headers=CONSENT)
        if path not in self._paths:
            # Who asks learns that a gateway is here, although the broker is not; which version it reads says nothing yet.
            return replace(_unknown(path), headers=((TRANSFER.decode(), "1"),))
        asked = self._from_peer(head, path, names)
        if isinstance(asked, Answer):
            return asked
        return Answer(200, headers=CONSENT if asked is None else (*CONSENT, *asked.door.terms()))

    def _limited(self, head: Head | PlainHead, broker: Accepting) -> Accepting | Answer:
        try:
            limit = self.body_limit(head)
        except UnsupportedMediaType as error:
            return Answer(415, "media type", str(error))
        if head.length > limit:
            return Answer(413, "size", f"the body has {head.length} bytes, the limit is {limit}")
        if head.expects is not None and head.expects.lower() != b"100-continue":
            return Answer(417, "framing", "the only expectation met here is 100-continue")
        if not self.in_hand.room_for(head.length):
            return FULL
        return broker

    def body_limit(self, head: Head | PlainHead) -> int:
        """Most bytes of this request's body. Raises `UnsupportedMediaType`."""
        batch = http.mode(head.fields.get(b"content-type")) == "batch"
        return self.limits.max_batch_bytes if batch else self.limits.max_event_bytes

    # ── after the body ───────────────────────────────────────────────────────────────────────

    def accept(self, broker: Accepting, head: Head | PlainHead, body: bytes, done: Waiting) -> int | Answer:
        """Give the events of a request to their broker: how many there are, or the answer due at once.

        `done` (for a transfer `done.answered`) is called later, and only if it was a number. The gateway may have begun
        to stop, or have filled up, while a slow body came in; so both are asked again.
        """
        if self.draining:
            return STOPPING
        if not self.in_hand.room_for(0):
            return FULL
        try:
            if isinstance(broker, FromPeer) and broker.transfer:
                broker.door.take(broker.peer, head.fields, body, done.answered)
                self.in_hand.requests += 1
                return 0  # what becomes of each event is for the peer's verdicts to say
            if head.attributes is None:
                events = http.decode(head.headers, body, self._wire_limits)
            else:
                events = [http.plain(head.attributes, body, head.passed, self._wire_limits)]
            if not events:
                return Answer(202)  # an empty batch is valid, and there is nothing to wait for
            broker.accept(events, done)
        except MeshError as error:
            return not_stored(error)
        self.in_hand.requests += 1
        return len(events)


def not_stored(error: MeshError) -> Answer:
    """The answer when an event was refused, or durability could not be had."""
    if isinstance(error, EventError):
        return Answer(error.status, _REASONS.get(type(error), "event"), str(error))
    after = error.retry_after if isinstance(error, TransportError) else None
    return unavailable(
        f"the event is not known to be stored, send it again: {error}", reason="store", after=after
    )


def _origin_form(target: bytes) -> bytes:
    """An absolute-form target without its scheme and authority (RFC 9112, 3.2.2)."""
    authority = _authority(target)
    return target if authority is None else target[authority.end() :] or b"/"


def _unknown(path: bytes) -> Answer:
    if not _broker_shaped(path):
        return Answer(404, "path", "events go to /NAMESPACE/BROKER")
    named = path.strip(b"/").decode("latin-1")
    return Answer(404, "path", f"there is no broker {named} here; events go to /NAMESPACE/BROKER")
