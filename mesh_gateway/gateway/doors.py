"""Doors for peers: what comes over HTTP from other gateways, given to a broker's receiver, and its verdicts as an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mesh_gateway.errors import MeshError, TransportError
from mesh_gateway.event import Event
from mesh_gateway.federation import answers, encoding
from mesh_gateway.federation.encoding import Incoming
from mesh_gateway.federation.receiver import Receiver, Verdicts
from mesh_gateway.federation.terms import Terms, terms_headers
from mesh_gateway.ingress.endpoint import not_stored
from mesh_gateway.ingress.peers import Peer, Peers
from mesh_gateway.ingress.responses import Answer
from mesh_gateway.topology.spec import BrokerDestination, GatewaySpec, PeerSpec
from mesh_gateway.wire import http


class Door:
    """Implements the ingress's `Receiving` for one broker."""

    def __init__(self, receiver: Receiver, limits: http.Limits, *, offers: bool) -> None:
        self._receiver = receiver
        self._limits = limits
        self._offers = offers
        """Several ways lead here: peers are to offer events before they send them."""

    def terms(self) -> tuple[tuple[str, str], ...]:
        """As `Receiving.terms`."""
        limits = self._limits
        return terms_headers(
            Terms(self._receiver.place, limits.max_batch_events, limits.max_batch_bytes, self._offers)
        )

    def take(
        self, peer: Peer, fields: Mapping[bytes, bytes], body: bytes, told: Callable[[Answer], None]
    ) -> None:
        """As `Receiving.take`, and the same for an offer."""
        if encoding.is_offer(fields):
            offer = encoding.decode_offer(fields, body, peer.cluster, self._limits)
            self._receiver.offer(offer, partial(_answer_offer, told))
            return
        incoming = encoding.decode(fields, body, peer.cluster, self._limits)

        def judged(outcome: Verdicts | TransportError) -> None:
            told(not_stored(outcome) if isinstance(outcome, TransportError) else _answer(incoming, outcome))

        self._receiver.take(incoming.transfer, peer.types, judged)

    def accept(self, peer: Peer, events: Sequence[Event], done: Callable[[MeshError | None], None]) -> None:
        """As `Receiving.accept`."""
        self._receiver.accept(events, peer.cluster, peer.types, done)


def _answer_offer(told: Callable[[Answer], None], outcome: Sequence[bool] | TransportError) -> None:
    if isinstance(outcome, TransportError):
        told(not_stored(outcome))
    else:
        told(Answer(200, content=answers.encode_wanted(outcome)))


def _answer(incoming: Incoming, verdicts: Verdicts) -> Answer:
    return Answer(200, content=answers.encode_verdicts(incoming.whole(verdicts)))


def several_ways(broker: str, spec: GatewaySpec) -> bool:
    """Whether an event may come to this broker by more than one way: from several peers, or from one and from a broker of
    this gateway.
    """
    peers = sum(not one.brokers or broker in one.brokers for one in spec.peers)
    own = any(one.destination == BrokerDestination(broker) for one in spec.relays.values())
    return peers + own > 1


def peers(specs: Sequence[PeerSpec]) -> Peers | None:
    """The peers of the documents by their credentials; None when there are none."""
    if not specs:
        return None
    tokens: dict[str, Peer] = {}
    names: dict[str, Peer] = {}
    for spec in specs:
        peer = Peer(spec.cluster, frozenset(spec.brokers), spec.types)
        if spec.bearer is not None:
            tokens[spec.bearer.value] = peer
        if spec.san is not None:
            names[spec.san] = peer
    return Peers(tokens, names)
