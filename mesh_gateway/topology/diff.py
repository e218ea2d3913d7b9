"""What a change of documents would do, before it is done. Pure; used by reload and `plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from mesh_gateway.topology.spec import GatewaySpec

Effect = Literal["none", "hot", "drain", "rejoin group", "reset"]
"""`hot`: nothing is interrupted; `drain`: one trigger finishes what it has and starts anew; `rejoin
group`: a broker's readers subscribe anew; `reset`: connections or the whole process start anew."""

NOUNS = ("transports", "brokers", "triggers")

_HOT = {"filters", "filter_attributes", "delivery", "replies"}


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs. `what` names the fields of a changed one."""

    noun: str
    name: str
    how: Literal["added", "changed", "removed"]
    effect: Effect
    what: tuple[str, ...] = ()
    new: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """All differences between two specs."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)


def diff(old: GatewaySpec | None, new: GatewaySpec) -> Plan:
    """The plan from `old` to `new`; from nothing, everything is added."""
    if old is None:
        old = replace(new, transports={}, brokers={}, triggers={})
    changes: list[Change] = []
    for noun in NOUNS:
        changes += _between(noun, getattr(old, noun), getattr(new, noun))
    own = tuple(
        f.name
        for f in fields(new)
        if f.name not in (*NOUNS, "digest") and getattr(old, f.name) != getattr(new, f.name)
    )
    if own:
        changes.append(Change("gateway", new.name, "changed", "reset", own, new))
    return Plan(tuple(changes))


def apply(old: GatewaySpec, plan: Plan) -> GatewaySpec:
    """The spec that `plan` leads to."""
    parts: dict[str, Any] = {noun: dict(getattr(old, noun)) for noun in NOUNS}
    spec = old
    for change in plan.changes:
        if change.noun == "gateway":
            spec = change.new
        elif change.how == "removed":
            del parts[change.noun][change.name]
        else:
            parts[change.noun][change.name] = change.new
    return replace(spec, **parts)


def _between(noun: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    changes = [Change(noun, name, "removed", _ending(noun)) for name in old if name not in new]
    for name, value in new.items():
        if name not in old:
            changes.append(Change(noun, name, "added", "hot", (), value))
        elif old[name] != value:
            what = tuple(
                f.name for f in fields(value) if getattr(old[name], f.name) != getattr(value, f.name)
            )
            changes.append(Change(noun, name, "changed", _effect(noun, what), what, value))
    return changes


def _ending(noun: str) -> Effect:
    return "drain" if noun == "triggers" else "reset"


def _effect(noun: str, what: tuple[str, ...]) -> Effect:
    if noun != "triggers":
        return "reset"
    if set(what) <= _HOT:
        return "hot"
    return "rejoin group" if {"broker", "read", "start"} & set(what) else "drain"
