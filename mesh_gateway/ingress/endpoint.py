"""From a request to a broker and back to a status: the table of design 7, in its order.

Framing (before this room), method, path, size, event, hops, durability. Probes are answered on
any path, as Knative's ingress does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

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
from mesh_gateway.ingress.responses import ALLOW, CONSENT, Answer, busy, unavailable
from mesh_gateway.wire import http


class Accepting(Protocol):
    """A broker, as the ingress sees it."""

    def accept(self, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        """Store `events`. May raise `EventError` at once, with nothing stored. Else calls `done` later,
        never before it returns: None once all are durable, an error when that is not so or not known.
        """
        ...


_broker_shaped = re.compile(rb"/[^/]+/[^/]+/?").fullmatch
_authority = re.compile(rb"https?://[^/?#]+", re.IGNORECASE).match

_REASONS: dict[type[EventError], str] = {
    EventTooLarge: "size",
    HopsExhausted: "hops",
    UnsupportedMediaType: "media type",
}
"""The counted word of an `EventError`; "event" for all others."""

_STOPPING = unavailable("this gateway is stopping; send to another, or again", reason="draining", close=True)


class Endpoint:
    """Knows the brokers and their paths. One for all connections of a listener."""

    def __init__(
        self,
        brokers: Mapping[str, Accepting],
        limits: IngressLimits,
        counters: IngressCounters,
        ready: Callable[[], bool],
    ) -> None:
        self.limits = limits
        self.counters = counters
        self.in_hand = InHand(limits)
        self.draining = False
        self._ready = ready
        self._wire_limits = http.Limits(
            limits.max_event_bytes, limits.max_batch_events, limits.max_batch_bytes
        )
        self._paths: dict[bytes, Accepting] = {}
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

    def route(self, head: Head) -> Accepting | Answer:
        """The broker of a request, or the answer that is due before its body is read."""
        path = head.target
        if path[:1] != b"/":
            path = _origin_form(path)
        if b"?" in path:
            path = path.partition(b"?")[0]
        fields = head.fields
        if b"k-network-probe" in fields or fields.get(b"user-agent", b"")[:11] == b"kube-probe/":
            answer = self._probe(fields)
            if answer is not None:
                return answer
        if head.method != b"POST":
            return self._not_post(head.method, path)
        broker = self._paths.get(path)
        if broker is None:
            return _unknown(path)
        return _STOPPING if self.draining else self._limited(head, broker)

    def _probe(self, fields: Mapping[bytes, bytes]) -> Answer | None:
        """Knative's own probes, on any path (its ingress handler does the same)."""
        if fields.get(b"user-agent", b"")[:11] == b"kube-probe/":
            return unavailable("this gateway is stopping", reason="probe") if self.draining else Answer(200)
        if fields.get(b"k-network-probe") != b"probe":
            return None
        hashed = fields.get(b"k-network-hash", b"").decode("latin-1")
        return Answer(200, headers=(("k-network-hash", hashed),) if hashed else ())

    def _not_post(self, method: bytes, path: bytes) -> Answer:
        if method in (b"GET", b"HEAD"):
            if path == b"/healthz":
                return Answer(200)
            if path == b"/readyz":
                if self._ready() and not self.draining:
                    return Answer(200)
                return unavailable("this gateway is not ready for events", reason="probe")
        if method == b"OPTIONS":
            return Answer(200, headers=CONSENT) if _broker_shaped(path) else _unknown(path)
        # A tunnel is not even asked for: whatever follows its head is no request to us.
        return Answer(405, "method", "events are sent with POST", (ALLOW,), close=method == b"CONNECT")

    def _limited(self, head: Head, broker: Accepting) -> Accepting | Answer:
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

    def body_limit(self, head: Head) -> int:
        """Most bytes of this request's body. Raises `UnsupportedMediaType`."""
        batch = http.mode(head.fields.get(b"content-type")) == "batch"
        return self.limits.max_batch_bytes if batch else self.limits.max_event_bytes

    # ── after the body ───────────────────────────────────────────────────────────────────────

    def accept(
        self, broker: Accepting, head: Head, body: bytes, done: Callable[[MeshError | None], None]
    ) -> int | Answer:
        """Give the events of a request to their broker: how many there are, or the answer due at once.

        `done` is called, later, only if it was a number. The gateway may have begun to stop, or have
        filled up, while a slow body came in; so both are asked again.
        """
        if self.draining:
            return _STOPPING
        if not self.in_hand.room_for(0):
            return FULL
        try:
            events = http.decode(head.headers, body, self._wire_limits)
            if not events:
                return Answer(202)  # an empty batch is valid, and there is nothing to wait for
            broker.accept(events, done)
        except MeshError as error:
            return self.failure(error)
        self.in_hand.requests += 1
        return len(events)

    def failure(self, error: MeshError) -> Answer:
        """The answer when the event was refused, or durability could not be had."""
        if isinstance(error, EventError):
            return Answer(error.status, _REASONS.get(type(error), "event"), str(error))
        after = error.retry_after if isinstance(error, TransportError) else None
        return unavailable(
            f"the event is not known to be stored, send it again: {error}", reason="store", after=after
        )


FULL = busy("too many events are on their way to the store; send again")


def _origin_form(target: bytes) -> bytes:
    """An absolute-form target without its scheme and authority (RFC 9112, 3.2.2)."""
    authority = _authority(target)
    return target if authority is None else target[authority.end() :] or b"/"


def _unknown(path: bytes) -> Answer:
    if not _broker_shaped(path):
        return Answer(404, "path", "events go to /NAMESPACE/BROKER")
    return Answer(404, "path", f"there is no broker {path.strip(b'/').decode('latin-1')} here")
