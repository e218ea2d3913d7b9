"""What one run does: the triggers with their sinks, the load, the faults. Kept as `plan.json` beside the history.

The topology is a table: each trigger's filter as it stands in the document, the same wish for the oracle, and the
script by which its sink answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mesh_gateway.testing.probe.history import BadHistory
from mesh_gateway.testing.probe.oracle import Wish

FILE = "plan.json"

BROKER = "events"

LETTERS = "letters"
"""The dead letter sink's name among the sinks."""

EVENT, REPLY = "probe.event.", "probe.reply"
"""How the types of what is sent begin, and the type of every reply."""

RSS_SLACK = 160 * 2**20
"""The usual `slack`. 64 MiB of them are what the ingress may have in hand,
the rest is twice what a run without faults was seen to grow by (48 MiB: caches, pools, the allocator's holes)."""

FDS_SLACK = 900
"""Descriptors that may be open beyond those of a gateway that is just ready: 64 connections to each of 10 sinks, the
senders', and as many again that are being closed."""


@dataclass(frozen=True, slots=True)
class TriggerPlan:
    """One trigger and its sink."""

    name: str
    filter: str
    """The line of the document, in YAML: `filters: […]` or `filter: {…}`."""
    wish: Wish
    """The same for the oracle."""
    script: str
    """How its sink answers: a name in `workload.SCRIPTS`."""
    retry: int = 10
    timeout: str = "PT5S"
    ordered: bool = False
    letters: bool = False
    """Whether it has the dead letter sink; else the broker keeps its dead letters."""
    least: int = 10
    """Copies that must have come to an end for the run to count."""
    window: str = ""
    """The annotation of that name; empty = the default, which is `window_bytes`."""
    window_bytes: int = 16 * 2**20
    other: tuple[str, Wish] | None = None
    """Filter and wish that a reload puts in their place, and the next one takes back."""


TRIGGERS: tuple[TriggerPlan, ...] = (
    TriggerPlan("steady", f"filters: [{{prefix: {{type: {EVENT}}}}}]", ((("type", "begins", EVENT),),), "accept", letters=True),
    TriggerPlan("flaky", f"filters: [{{exact: {{type: {EVENT}flaky}}}}]", ((("type", "is", f"{EVENT}flaky"),),), "flaky",
                timeout="PT1S", letters=True),
    TriggerPlan("refusing", f"filter: {{attributes: {{type: {EVENT}refused}}}}", ((("type", "is", f"{EVENT}refused"),),),
                "refuse", letters=True),
    TriggerPlan("hopeless", f"filters: [{{cesql: \"type = '{EVENT}hopeless'\"}}]",
                ((("type", "is", f"{EVENT}hopeless"),),), "fail", retry=1),
    TriggerPlan("ordered", "filters: [{suffix: {type: .ordered}}]", ((("type", "ends", ".ordered"),),), "falter",
                ordered=True, letters=True),
    TriggerPlan("asking", f"filters: [{{any: [{{exact: {{type: {EVENT}ask}}}}]}}]", ((("type", "is", f"{EVENT}ask"),),),
                "reply", letters=True),
    TriggerPlan("answered", f"filters: [{{exact: {{type: {REPLY}}}}}]", ((("type", "is", REPLY),),), "accept", letters=True),
    TriggerPlan("picky",
                "filters: [{not: {exact: {pbtier: none}}}, {any: [{exact: {pbtier: gold}}, "
                "{cesql: \"EXISTS pbvip AND pbtier = 'silver'\"}]}]",
                ((("pbtier", "is", "gold"),), (("pbtier", "is", "silver"), ("pbvip", "exists", ""))), "accept", letters=True,
                other=("filters: [{exact: {pbtier: none}}]", ((("pbtier", "is", "none"),),))),
    TriggerPlan("plain", f"filters: [{{prefix: {{type: {EVENT}}}}}, {{cesql: NOT EXISTS pbtier}}]",
                ((("type", "begins", EVENT), ("pbtier", "absent", "")),), "accept", letters=True),
)  # fmt: skip
"""All triggers of a run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int = 1
    seconds: float = 30.0
    rate: float = 200.0
    """Events a second, of all senders together."""
    senders: int = 2
    keys: int = 8
    """Partition keys of each sender; one request of a key at a time."""
    limit: int = 65_536
    """`maxEventBytes` of the gateway, which is tried at one byte less, exactly, and one more."""
    smallest: int = 1
    largest: int = 65_536
    """Bytes of the data that are sent in the ordinary way: log-uniform between the two, and none now and then."""
    oversized: bool = True
    """Whether the event of one byte too many is sent; only where the gateway is known to have that limit."""
    own: bool = True
    """Whether the gateway is the prober's own: then its process is watched, and its transport read at the end."""
    namespace: str = "probe"
    """Of broker and triggers. On a server that others use as well each run has its own: what an earlier one has left
    behind would be a phantom."""
    broker: str = ""
    """URL of the broker that the events are sent to."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Where each sink listens."""
    host: str = "127.0.0.1"
    """The address that the sinks listen on."""
    faults: tuple[str, ...] = ()
    triggers: tuple[TriggerPlan, ...] = TRIGGERS
    patience: float = 120.0
    """Seconds for everything to come to an end after the load."""
    silence: float = 5.0
    """Seconds for which no sink must have heard anything, for the run to be over."""

    slack: int = RSS_SLACK
    """Bytes that the gateway's memory may grow by beside its windows."""

    @property
    def sinks(self) -> list[str]:
        """The names of all sinks."""
        return [*(trigger.name for trigger in self.triggers), LETTERS]

    @property
    def memory_budget(self) -> int:
        """Bytes that the gateway may grow by between being ready and the end."""
        return self.slack + sum(trigger.window_bytes for trigger in self.triggers)

    def without(self, *names: str) -> Plan:
        """The plan without these triggers."""
        return replace(self, triggers=tuple(one for one in self.triggers if one.name not in names))

    def save(self, directory: Path) -> None:
        """Write it where the history lies."""
        (directory / FILE).write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")


def load(directory: Path) -> Plan:
    """The plan of a run that was kept. Raises `BadHistory`."""
    try:
        found: dict[str, Any] = json.loads((directory / FILE).read_text(encoding="utf-8"))
        triggers = tuple(_trigger_plan(one) for one in found["triggers"])
        return Plan(**{**found, "triggers": triggers, "faults": tuple(found["faults"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadHistory(f"{directory} holds no run of the prober: {FILE}: {error}") from error


def _trigger_plan(written: Mapping[str, Any]) -> TriggerPlan:
    other = written.get("other")
    return TriggerPlan(
        **{
            **written,
            "wish": _wish(written["wish"]),
            "other": None if other is None else (other[0], _wish(other[1])),
        }
    )


def _wish(written: Sequence[Sequence[Sequence[str]]]) -> Wish:
    return tuple(tuple((name, test, value) for name, test, value in clause) for clause in written)


# ── as documents ─────────────────────────────────────────────────────────────────────────────


def gateway_documents(plan: Plan, transport: str | None, epoch: int = 0) -> str:
    """All documents of a gateway of the prober's own but the Transport, which is called `transport`.

    With an odd `epoch` the triggers that have another filter have that; the subscriber's path says which epoch it is.
    """
    config = ""
    if transport is not None:
        config = f"config: {{apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: {transport}}}, "
    return (
        "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: probe}\n"
        f"spec: {{ingress: {{maxEventBytes: {plan.limit}}}, drainTimeout: PT10S}}\n"
        "---\napiVersion: eventing.knative.dev/v1\nkind: Broker\n"
        f"metadata: {{name: {BROKER}, namespace: {plan.namespace}}}\n"
        f"spec: {{{config}delivery: {{retry: 10, backoffPolicy: linear, backoffDelay: PT0.05S}}}}\n"
        + trigger_documents(plan, plan.namespace, BROKER, f"http://{plan.host}", epoch)
    )


def trigger_documents(plan: Plan, namespace: str, broker: str, base: str, epoch: int = 0) -> str:
    """The Triggers, whose sinks listen at `base` and their ports."""
    return "".join(f"---\n{_trigger(plan, one, namespace, broker, base, epoch)}" for one in plan.triggers)


def _trigger(plan: Plan, one: TriggerPlan, namespace: str, broker: str, base: str, epoch: int) -> str:
    filter = one.filter if epoch % 2 == 0 or one.other is None else one.other[0]
    path = one.name if one.other is None else f"{one.name}/{epoch}"
    notes = {}
    if one.ordered:
        notes["mesh-gateway.dev/order"] = "ordered"
    if one.window:
        notes["mesh-gateway.dev/window"] = one.window
    annotations = f", annotations: {json.dumps(notes)}" if notes else ""
    letters = f', deadLetterSink: {{uri: "{base}:{plan.ports[LETTERS]}/{LETTERS}"}}' if one.letters else ""
    return (
        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\n"
        f"metadata: {{name: {one.name}, namespace: {namespace}{annotations}}}\n"
        f"spec:\n  broker: {broker}\n  {filter}\n"
        f'  subscriber: {{uri: "{base}:{plan.ports[one.name]}/{path}"}}\n'
        f"  delivery: {{retry: {one.retry}, backoffPolicy: linear, backoffDelay: PT0.05S, timeout: {one.timeout}, "
        f"retryAfterMax: PT1S, backoffMax: PT1S{letters}}}\n"
    )
