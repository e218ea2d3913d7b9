"""What a change of documents would do, before it is done. Pure; `plan` prints it, a reload applies it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from mesh_gateway.topology.spec import GatewaySpec

Noun = Literal["gateway", "transports", "brokers", "triggers", "relays"]
Effect = Literal["none", "hot", "drain", "rejoin group", "reset"]
"""From nothing to worst. `hot`: takes effect at once, nothing is interrupted; `drain`: what is under way ends under
the old settings first; `rejoin group`: a subscription is closed and opened anew; `reset`: connections or
listeners are closed and opened anew, or events stay behind in another channel."""

MAPPINGS: tuple[Noun, ...] = ("transports", "brokers", "triggers", "relays")
EFFECTS: tuple[Effect, ...] = ("none", "hot", "drain", "rejoin group", "reset")

ADDED: Effect = "hot"
REMOVED: Effect = "drain"

CHANGED: Mapping[tuple[Noun, str], Effect] = {
    ("gateway", "name"): "none",
    ("gateway", "cluster"): "hot",
    ("gateway", "drain_timeout"): "hot",
    ("gateway", "peers"): "hot",
    ("gateway", "max_hops"): "hot",
    ("gateway", "ingress"): "reset",
    ("gateway", "admin"): "reset",
    ("gateway", "state_directory"): "reset",
    ("transports", "ensure"): "hot",
    ("triggers", "filters"): "hot",
    ("triggers", "filter_attributes"): "hot",
    ("triggers", "replies"): "hot",
    ("triggers", "delivery"): "hot",
    ("triggers", "destination"): "drain",
    ("triggers", "order"): "drain",
    ("triggers", "parallelism"): "drain",
    ("triggers", "overflow"): "drain",
    ("triggers", "window_events"): "drain",
    ("triggers", "window_bytes"): "drain",
    ("triggers", "read"): "rejoin group",
    ("triggers", "broker"): "rejoin group",
    ("triggers", "start"): "none",  # counts only for a subscription that does not exist yet
    ("relays", "filters"): "hot",
    ("relays", "delivery"): "hot",
    ("relays", "rate"): "hot",
    ("relays", "compression"): "hot",
    ("relays", "destination"): "drain",
    ("relays", "broker"): "rejoin group",
    ("relays", "start"): "none",  # as of a trigger
}
"""What a changed field does; what is not listed here resets."""


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


def diff(old: GatewaySpec | None, new: GatewaySpec) -> Plan:
    """The plan from `old` to `new`; from None, everything is added."""
    changes = [*_gateway(old, new)]
    for noun in MAPPINGS:
        changes += _between(noun, {} if old is None else getattr(old, noun), getattr(new, noun))
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
        yield Change("gateway", new.name, "changed", _effect("gateway", what), what, bare)


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
