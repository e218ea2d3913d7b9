"""From files to a spec: every fault of every file in one pass, and a spec only when there is no error.

sources ─▶ documents ─▶ resources ─▶ one of each identity ─▶ spec
   MG001     MG002…6      MG010…16        MG004, MG015       the rest
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mesh_gateway.topology import cycles, yaml
from mesh_gateway.topology.faults import Fault, Faults, Place
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.resolve import resolve
from mesh_gateway.topology.resources import Resource, read
from mesh_gateway.topology.sources import Source, each_once
from mesh_gateway.topology.spec import GatewaySpec

__all__ = ["Kinds", "Loaded", "Source", "load", "load_each"]

DIGEST = 12
"""Hexadecimal digits: enough to tell the documents of one gateway apart, short enough for a log line."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load gave. `spec` is None exactly when there are errors."""

    spec: GatewaySpec | None
    faults: tuple[Fault, ...]
    documents: tuple[Resource, ...] = ()

    @property
    def errors(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.severity == "error"]


def load(
    sources: Sequence[Source],
    *,
    environment: Mapping[str, str],
    kinds: Kinds,
    strict: bool = False,
    partial: bool = False,
) -> Loaded:
    """Read documents. Reads the files that they name (secrets, certificates) and raises nothing.

    `strict`: warnings are errors. `partial`: these are not all files, so a Broker or Endpoint that is not here
    is a warning, and the Trigger that needs it is left out.
    """
    documents = _read(sources, environment)
    return _judged(_resolved(documents, environment, kinds, partial=partial), strict=strict)


def load_each(
    groups: Sequence[Sequence[Source]],
    *,
    environment: Mapping[str, str],
    kinds: Kinds,
    strict: bool = False,
    partial: bool = False,
) -> list[Loaded]:
    """Read the documents of several gateways, each group by itself, and look at what leads from one to another.

    Where at most one group has a Gateway document, all are one gateway: one load.
    """
    groups = each_once(groups)
    several = [_read(sources, environment) for sources in groups]
    if sum(one.gateway is not None for one in several) < 2:
        sources = [source for group in groups for source in group]
        return [load(sources, environment=environment, kinds=kinds, strict=strict, partial=partial)]
    resolved = [_resolved(one, environment, kinds, partial=partial) for one in several]
    _check_names([one for one in resolved if one.read.gateway is not None])
    cycles.check([one.part for one in resolved], across=True)
    return [_judged(one, strict=strict) for one in resolved]


class _Read(NamedTuple):
    """What stands in some files. The faults may still grow."""

    sources: Sequence[Source]
    resources: Sequence[Resource]
    faults: Faults

    @property
    def gateway(self) -> Resource | None:
        return next((one for one in self.resources if one.kind == "Gateway"), None)


class _Resolved(NamedTuple):
    read: _Read
    spec: GatewaySpec
    part: cycles.Part


def _read(sources: Sequence[Source], environment: Mapping[str, str]) -> _Read:
    faults = Faults()
    resources = [
        resource
        for source in sources
        for document in yaml.read(source, faults)
        for resource in read(document, environment, faults)
    ]
    if not resources and not faults.found:
        where = ", ".join(source.name for source in sources) or "nothing given"
        faults.add("MG008", Place(sources[0].name if sources else "-"), f"no documents to serve ({where})")
    return _Read(sources, _once(resources), faults)


def _resolved(read: _Read, environment: Mapping[str, str], kinds: Kinds, *, partial: bool) -> _Resolved:
    return _Resolved(read, *resolve(read.resources, environment, kinds, partial=partial))


def _check_names(several: Sequence[_Resolved]) -> None:
    """Each gateway has a name of its own: by it others see that they have had an event."""
    seen: dict[str, Resource] = {}
    for one in several:
        cluster, gateway = one.spec.cluster, one.read.gateway
        assert gateway is not None, "only those with a document are asked"
        first = seen.setdefault(cluster, gateway)
        if first is not gateway:
            message = (
                f"the Gateway at {first.place} is {cluster!r} too: events of the one would be taken for "
                "ones that the other has had already; give one of the two another name"
            )
            gateway.fault("MG048", ("spec", "cluster"), message)


def _judged(resolved: _Resolved, *, strict: bool) -> Loaded:
    """The faults in order, and the spec if none of them is an error."""
    sources, resources, faults = resolved.read
    found = _ordered([_severe(fault, strict=strict) for fault in faults.found], sources)
    failed = any(fault.severity == "error" for fault in found)
    spec = None if failed else replace(resolved.spec, digest=_digest(resources))
    return Loaded(spec, found, tuple(resources))


def _once(resources: Sequence[Resource]) -> list[Resource]:
    """Each identity once, and one Gateway; the others are faults that name the first place."""
    seen: dict[tuple[str, ...], Resource] = {}
    for resource in resources:
        group = resource.api_version.rpartition("/")[0]
        gateway = resource.kind == "Gateway"
        identity = (
            (group, resource.kind) if gateway else (group, resource.kind, resource.namespace, resource.name)
        )
        first = seen.setdefault(identity, resource)
        if first is resource:
            continue
        code = "MG015" if gateway and first.name != resource.name else "MG004"
        what = "a Gateway" if code == "MG015" else f"{resource.kind} {resource.key}"
        resource.fault(code, ("metadata", "name"), f"there is {what} already at {first.place}")
    return list(seen.values())


def _severe(fault: Fault, *, strict: bool) -> Fault:
    """Strict turns warnings into errors, but not what `--partial` allows."""
    if strict and fault.severity == "warning" and fault.code not in ("MG020", "MG021"):
        return replace(fault, severity="error")
    return fault


def _ordered(faults: Sequence[Fault], sources: Sequence[Source]) -> tuple[Fault, ...]:
    """In the order in which the files were given, each once."""
    order = {source.name: i for i, source in enumerate(sources)}
    unique = dict.fromkeys(faults)
    return tuple(sorted(unique, key=lambda f: (order.get(f.file, 0), f.line, f.column, f.code)))


def _digest(resources: Sequence[Resource]) -> str:
    """A short hash of what the documents say; comments, order and what a cluster adds do not count."""
    said = {
        f"{r.api_version} {r.kind} {r.key}": [dict(r.annotations), r.value.get("spec"), r.value.get("data")]
        for r in resources
        if r.kind != "Secret"
    }
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST]
