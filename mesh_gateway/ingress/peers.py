"""Who may relay into this gateway: other gateways, known by a token or by the name in their certificate.

A producer needs no credential here. A credential that is shown has to be a known one, though: what is meant to come
from another gateway is never taken for something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mesh_gateway.errors import MeshError
from mesh_gateway.event import Event
from mesh_gateway.ingress.responses import Answer

TRANSFER = b"mesh-transfer"
"""The header that makes a request a transfer, or in an OPTIONS request asks whether there are any. `federation.encoding`
has the same; neither floor imports the other."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another gateway. Whoever presents its credential is that cluster."""

    cluster: str
    brokers: frozenset[str] = frozenset()
    """`namespace/name` of those it may send to; empty = all."""
    types: tuple[str, ...] = ()
    """Prefixes of event types that it may send; empty = all."""


class Receiving(Protocol):
    """A broker, as it takes what peers send. Called from any callback of the loop."""

    def terms(self) -> tuple[tuple[str, str], ...]:
        """Headers of an answer to OPTIONS that say how transfers may be sent."""
        ...

    def take(
        self, peer: Peer, fields: Mapping[bytes, bytes], body: bytes, told: Callable[[Answer], None]
    ) -> None:
        """Take a transfer; `told` is called later with the answer. Raises `EventError` at once when it is none."""
        ...

    def accept(self, peer: Peer, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        """As `Accepting.accept`, for single events of a peer, whose `mesh*` attributes are believed."""
        ...


@dataclass(frozen=True, slots=True)
class FromPeer:
    """Where a request of a peer goes, instead of to a broker as such."""

    door: Receiving
    peer: Peer
    transfer: bool

    def accept(self, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        """As `Accepting.accept`."""
        self.door.accept(self.peer, events, done)


class Peers:
    """Credentials to peers. Tokens are looked up by their digests, so that a comparison's time tells nothing of them."""

    def __init__(self, tokens: Mapping[str, Peer], names: Mapping[str, Peer]) -> None:
        self._by_digest = {_digest(token.encode()): peer for token, peer in tokens.items()}
        self._by_name = dict(names)

    def who(self, authorization: bytes | None, names: Iterable[str]) -> Peer | Answer | None:
        """The peer that shows these credentials, None when none are shown, and 401 or 403 when nobody knows them."""
        if authorization is not None and self._by_digest:
            scheme, _, token = authorization.partition(b" ")
            peer = self._by_digest.get(_digest(token.strip())) if scheme.lower() == b"bearer" else None
            return peer or UNAUTHORIZED
        known = [self._by_name[name] for name in names if name in self._by_name]
        if known:
            return known[0]
        return UNKNOWN_NAME if names and self._by_name else None


UNAUTHORIZED = Answer(
    401,
    "credential",
    "this token belongs to no peer in the receiving gateway's Gateway.spec.peers; compare the secret on both sides",
    (("www-authenticate", "Bearer"),),
)
UNKNOWN_NAME = Answer(
    403,
    "credential",
    "the name in this certificate belongs to no peer of this gateway; name it in Gateway.spec.peers",
)
ANONYMOUS = Answer(
    401,
    "credential",
    "a transfer needs the credential of a peer; name the sender in this gateway's Gateway.spec.peers",
    (("www-authenticate", "Bearer"),),
)


def not_into(peer: Peer, broker: str) -> Answer:
    """The answer to a known peer at the wrong door."""
    return Answer(403, "credential", f"the peer {peer.cluster} may not send to the broker {broker}")


def certificate_names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """The subject alternative names of a verified certificate, as Python's `getpeercert` gives it."""
    if not certificate:
        return frozenset()
    return frozenset(str(value) for _, value in certificate.get("subjectAltName", ()))


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
