"""What a change of documents would do, before it is done. Pure; `plan` prints it, a reload applies it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from mesh_gateway.topology.spec import BrokerDestination, BrokerSpec, GatewaySpec

Noun = Literal["gateway", "transports", "brokers", "triggers", "relays"]
Effect = Literal["none", "hot", "drain", "rejoin group", "reset", "restart"]
"""From nothing to worst. `hot`: takes effect at once, nothing is interrupted; `drain`: what is under way ends under
the old settings, all else goes by the new ones; `rejoin group`: a subscription is closed and opened anew; `reset`:
connections or listeners are closed and opened anew, or events stay behind in another channel; `restart`: needs a new
process, so a reload refuses the whole plan."""

EMBEDDED = "embedded"
"""The kind of transport that remembers what came by relays in the commit that stores it."""

MAPPINGS: tuple[Noun, ...] = ("transports", "brokers", "triggers", "relays")
EFFECTS: tuple[Effect, ...] = ("none", "hot", "drain", "rejoin group", "reset", "restart")

TITLES: Mapping[Noun, str] = {
    "gateway": "Gateway",
    "transports": "Transport",
    "brokers": "Broker",
    "triggers": "Trigger",
    "relays": "Relay",
}
"""How a person calls one of them."""

ADDED: Effect = "hot"
REMOVED: Effect = "drain"

CHANGED: Mapping[tuple[Noun, str], Effect] = {
    ("gateway", "name"): "none",
    ("gateway", "cluster"): "restart",  # it is in what other gateways remember of this one
    ("gateway", "drain_timeout"): "hot",
    ("gateway", "peers"): "hot",
    ("gateway", "max_hops"): "restart",
    ("gateway", "ingress"): "reset",  # its limits alone are hot: see `_listener`
    ("gateway", "admin"): "reset",  # its token alone is hot
    ("gateway", "state_directory"): "restart",  # what is stored there stays there
    ("transports", "ensure"): "hot",
    ("triggers", "filters"): "hot",
    ("triggers", "filter_attributes"): "hot",
    ("triggers", "replies"): "hot",
    ("triggers", "delivery"): "hot",
    ("triggers", "destination"): "drain",
    ("triggers", "order"): "drain",
    ("triggers", "parallelism"): "hot",
    ("triggers", "overflow"): "drain",
    ("triggers", "window_events"): "hot",
    ("triggers", "window_bytes"): "hot",
    ("triggers", "read"): "rejoin group",
    ("triggers", "broker"): "rejoin group",
    ("triggers", "start"): "none",  # counts only for a subscription that does not exist yet
    ("relays", "filters"): "rejoin group",
    ("relays", "delivery"): "rejoin group",
    ("relays", "rate"): "rejoin group",
    ("relays", "compression"): "rejoin group",
    ("relays", "destination"): "rejoin group",
    ("relays", "broker"): "rejoin group",
    ("relays", "start"): "none",  # as of a trigger
}
"""What a changed field does; what is not listed here resets."""

SPELT: Mapping[tuple[Noun, str], str] = {
    ("gateway", "drain_timeout"): "drainTimeout",
    ("gateway", "max_hops"): "maxHops",
    ("gateway", "state_directory"): "state.directory",
    ("triggers", "destination"): "subscriber",
    ("triggers", "filter_attributes"): "filter",
    ("triggers", "window_events"): "window",
    ("triggers", "window_bytes"): "window",
    ("relays", "destination"): "to",
    ("relays", "broker"): "from",
    ("relays", "rate"): "rateLimit",
}
"""How documents spell a field that has another name in the spec."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs. Values stay out of its `repr`: they may hold credentials."""

    noun: Noun
    name: str
    how: Literal["added", "changed", "removed"]
    effect: Effect
    what: tuple[str, ...] = ()
    """Fields of a changed object."""
    new: Any = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """`Trigger shop/billing`."""
        return f"{TITLES[self.noun]} {self.name}"

    @property
    def spelt(self) -> tuple[str, ...]:
        """The fields of a changed object, as documents spell them."""
        return self._as_documents(self.what)

    @property
    def restarting(self) -> tuple[str, ...]:
        """Those of them that need a new process."""
        return self._as_documents(name for name in self.what if CHANGED.get((self.noun, name)) == "restart")

    def _as_documents(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(SPELT.get((self.noun, name), name) for name in names))

    def document(self) -> dict[str, Any]:
        """As JSON, without values."""
        return {
            "noun": self.noun,
            "name": self.name,
            "how": self.how,
            "effect": self.effect,
            "what": list(self.spelt),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """All differences between two specs; falsy when there are none."""

    changes: tuple[Change, ...] = ()
    digest: str = ""
    """That of the new documents, which may differ where nothing that runs does."""

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def effect(self) -> Effect:
        """The worst of all changes."""
        return _worst(change.effect for change in self.changes)

    def document(self) -> dict[str, Any]:
        """As JSON, without values."""
        return {
            "digest": self.digest,
            "effect": self.effect,
            "changes": [change.document() for change in self.changes],
        }


def diff(old: GatewaySpec | None, new: GatewaySpec) -> Plan:
    """The plan from `old` to `new`; from None, everything is added."""
    changes = [*_gateway(old, new)]
    before = GatewaySpec() if old is None else old
    for noun in MAPPINGS:
        changes += _between(noun, getattr(before, noun), getattr(new, noun))
    idle = new.transports.keys() - {spec.transport for spec in _brokers(before, new)}
    changes = [
        replace(one, effect="none") if one.noun == "transports" and one.name in idle else one
        for one in changes
    ]
    rejoining = _rejoining(before, new)
    changes = [_with_rejoining(one, rejoining) for one in changes]
    return Plan(tuple(changes), new.digest)


def apply(old: GatewaySpec | None, plan: Plan) -> GatewaySpec:
    """The spec that `plan` leads to from the one it was made from."""
    spec = GatewaySpec() if old is None else old
    parts: dict[str, dict[str, Any]] = {noun: dict(getattr(spec, noun)) for noun in MAPPINGS}
    for change in plan.changes:
        if change.noun == "gateway":
            spec = change.new
        elif change.how == "removed":
            del parts[change.noun][change.name]
        else:
            parts[change.noun][change.name] = change.new
    return replace(spec, digest=plan.digest, **parts)  # type: ignore[arg-type]  # each of its own noun


def _gateway(old: GatewaySpec | None, new: GatewaySpec) -> Iterator[Change]:
    """The gateway's own fields; `new` without the mappings, which have changes of their own."""
    bare = _bare(new)
    if old is None:
        yield Change("gateway", new.name, "added", ADDED, (), bare)
        return
    what = _differing(_bare(old), bare)
    if what:
        effect = _worst(_listener(old, new, name) for name in what)
        yield Change("gateway", new.name, "changed", effect, what, bare)


def _listener(old: GatewaySpec, new: GatewaySpec, name: str) -> Effect:
    """The effect of one of the gateway's own fields; a listener is opened anew only for another address or TLS."""
    if name == "ingress":
        limits = replace(new.ingress, host=old.ingress.host, port=old.ingress.port, tls=old.ingress.tls)
        return "hot" if limits == new.ingress else "reset"
    if name == "admin":
        token = replace(new.admin, host=old.admin.host, port=old.admin.port)
        return "hot" if token == new.admin else "reset"
    return CHANGED.get(("gateway", name), "restart")


def _brokers(*specs: GatewaySpec) -> Iterator[BrokerSpec]:
    for spec in specs:
        yield from spec.brokers.values()


def _with_rejoining(change: Change, rejoining: Collection[str]) -> Change:
    """The same with its effect on brokers that somebody may relay into from now on because of it: where the transport
    cannot remember what came, their readers begin anew, to look for what comes twice.
    """
    peers = change.noun == "gateway" and "peers" in change.what
    to = getattr(change.new, "destination", None) if change.noun == "relays" else None
    if rejoining and (peers or (isinstance(to, BrokerDestination) and to.broker in rejoining)):
        return replace(change, effect=_worst((change.effect, "rejoin group")))
    return change


def _rejoining(old: GatewaySpec, new: GatewaySpec) -> set[str]:
    """Brokers that stay, on a transport that cannot remember, and that nobody could relay into until now."""
    stay = old.brokers.keys() & new.brokers.keys() & (receiving(new) - receiving(old))
    kinds = {name: transport.kind for name, transport in new.transports.items()}
    return {key for key in stay if kinds.get(new.brokers[key].transport) != EMBEDDED}


def receiving(spec: GatewaySpec) -> set[str]:
    """The brokers that a peer or a relay of this gateway may send into."""
    if spec.peers:
        return set(spec.brokers)
    targets = [relay.destination for relay in spec.relays.values()]
    return {target.broker for target in targets if isinstance(target, BrokerDestination)}


def _bare(spec: GatewaySpec) -> GatewaySpec:
    """What is the gateway's own."""
    return replace(spec, transports={}, brokers={}, triggers={}, relays={}, digest="")


def _between(noun: Noun, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in old:
        if name not in new:
            yield Change(noun, name, "removed", REMOVED)
    for name, value in new.items():
        if name not in old:
            yield Change(noun, name, "added", ADDED, (), value)
        elif what := _differing(old[name], value):
            yield Change(noun, name, "changed", _effect(noun, what), what, value)


def _differing(old: Any, new: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(new) if getattr(old, f.name) != getattr(new, f.name))


def _effect(noun: Noun, what: Iterable[str]) -> Effect:
    return _worst(CHANGED.get((noun, name), "reset") for name in what)


def _worst(effects: Iterable[Effect]) -> Effect:
    return max(effects, key=EFFECTS.index, default="none")
