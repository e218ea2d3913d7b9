"""From a request to a broker and back to a status: the table of design 7, in its order.

Framing (before this room), method, path, size, event, hops, durability. Probes are answered on
any path, as Knative's ingress does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mesh_gateway.errors import EventError, EventTooLarge, MeshError, TransportError, UnsupportedMediaType
from mesh_gateway.event import Event
from mesh_gateway.ingress.framing import Head
from mesh_gateway.ingress.limits import IngressCounters, IngressLimits, InHand
from mesh_gateway.ingress.responses import ALLOW, CONSENT, Answer, unavailable
from mesh_gateway.wire import http


class Accepting(Protocol):
    """A broker, as the ingress sees it."""

    def accept(self, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        """Store `events`. May raise `EventError` at once, with nothing stored. Else calls `done` later:
        None once all are durable, an error when that is not so or not known.
        """
        ...


_broker_shaped = re.compile(rb"/[^/]+/[^/]+/?\Z").match
_authority = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*").match

_REASONS: dict[type[EventError], str] = {EventTooLarge: "size", UnsupportedMediaType: "media type"}


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
        """Serve these from now on; `namespace/name` to broker."""
        paths: dict[bytes, Accepting] = {}
        for key, broker in brokers.items():
            path = b"/" + key.encode()
            paths[path] = paths[path + b"/"] = broker
        self._paths = paths

    def route(self, head: Head) -> Accepting | Answer:
        """The broker of a request, or the answer that is due before its body is read."""
        path = head.target
        if b"?" in path:
            path = path.partition(b"?")[0]
        broker = self._paths.get(path)
        if broker is None or head.method != b"POST":
            return self._elsewhere(head, path)
        agent = head.fields.get(b"user-agent", b"")
        if agent[:11] == b"kube-probe/" or b"k-network-probe" in head.fields:
            return self._elsewhere(head, path)
        if self.draining:
            return unavailable("this gateway is stopping", reason="draining", close=True)
        return self._limited(head, broker)

    def _limited(self, head: Head, broker: Accepting) -> Accepting | Answer:
        try:
            limit = self.body_limit(head)
        except UnsupportedMediaType as error:
            return Answer(415, "media type", str(error))
        if head.length > limit:
            return Answer(413, "size", f"the body has {head.length} bytes, the limit is {limit}")
        expect = head.fields.get(b"expect")
        if expect is not None and expect.lower() != b"100-continue":
            return Answer(417, "framing", "the only expectation met here is 100-continue")
        if not self.in_hand.room_for(head.length):
            return Answer(
                429,
                "busy",
                "too many events are on their way to the store; send again",
                (("retry-after", "1"),),
            )
        return broker

    def body_limit(self, head: Head) -> int:
        """Most bytes of this request's body. Raises `UnsupportedMediaType`."""
        content_type = head.fields.get(b"content-type")
        if content_type is None or content_type[:1] not in b"aA":
            return self.limits.max_event_bytes
        batch = http.mode(content_type) == "batch"
        return self.limits.max_batch_bytes if batch else self.limits.max_event_bytes

    def accept(
        self, broker: Accepting, head: Head, body: bytes, done: Callable[[MeshError | None], None]
    ) -> int | Answer:
        """Give the events of a request to their broker: how many there are, or the answer due at once."""
        try:
            events = http.decode(head.headers, body, self._wire_limits)
            broker.accept(events, done)
        except EventError as error:
            return Answer(error.status, _REASONS.get(type(error), "event"), str(error))
        return len(events)

    def failure(self, error: MeshError) -> Answer:
        """The answer when durability could not be had."""
        if isinstance(error, EventError):
            return Answer(error.status, _REASONS.get(type(error), "event"), str(error))
        after = error.retry_after if isinstance(error, TransportError) else None
        return unavailable(f"the event is not known to be stored: {error}", reason="store", after=after)

    def _elsewhere(self, head: Head, path: bytes) -> Answer:
        """Probes, other methods, other paths."""
        fields = head.fields
        if fields.get(b"user-agent", b"").startswith(b"kube-probe/"):
            return Answer(503, "probe") if self.draining else Answer(200)
        if fields.get(b"k-network-probe") == b"probe":
            hashed = fields.get(b"k-network-hash", b"").decode("latin-1")
            return Answer(200, headers=(("k-network-hash", hashed),) if hashed else ())
        if head.method in (b"GET", b"HEAD") and path == b"/healthz":
            return Answer(200)
        if head.method in (b"GET", b"HEAD") and path == b"/readyz":
            return Answer(200) if self._ready() and not self.draining else unavailable("", reason="probe")
        absolute = _authority(path)
        if absolute is not None:
            return self._absolute(head, path[absolute.end() :] or b"/")
        if not _broker_shaped(path):
            return Answer(404, "path", "events go to /NAMESPACE/BROKER")
        if head.method == b"OPTIONS":
            return Answer(200, headers=CONSENT)
        if head.method != b"POST":
            return Answer(405, "method", "events are sent with POST", (ALLOW,))
        return Answer(404, "path", f"there is no broker {path.strip(b'/').decode('latin-1')} here")

    def _absolute(self, head: Head, path: bytes) -> Answer:
        """An absolute-form target is its path (RFC 9112, 3.2.2)."""
        head.target = path
        answer = self.route(head)
        # A broker found this way is taken up again by the caller through the rewritten target.
        return answer if isinstance(answer, Answer) else REROUTE


REROUTE = Answer(200, "reroute")
"""Not an answer: the target was rewritten, ask `route` again."""
