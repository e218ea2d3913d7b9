"""The gateway as a whole: whether it moves, stays small, settles everything, obeys its documents, and ends when told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from mesh_gateway.testing.probe.checker.anomaly import Anomaly, proof
from mesh_gateway.testing.probe.checker.facts import FOREVER, Facts
from mesh_gateway.testing.probe.history import Record
from mesh_gateway.testing.probe.plan import FDS_SLACK, TriggerPlan

STUCK_SECONDS = 30
"""Without anything coming to a trigger that has to get something, and no fault on."""

SECOND = 1_000_000_000


def stuck(facts: Facts) -> Iterator[Anomaly]:
    """A trigger had something to get, and got nothing for a long time; or it was never over."""
    for record in facts.of["quiesce"]:
        if not record["on"] and not record["over"]:
            what = f"{record['seconds']} s after the load things still moved, or waited"
            yield Anomaly("STUCK", what, lines=proof([record]))
    for trigger in facts.triggers.values():
        yield from _gaps(facts, trigger)


def _gaps(facts: Facts, trigger: TriggerPlan) -> Iterator[Anomaly]:
    came = sorted(got.t for got in facts.all_got() if got.trigger == trigger.name)
    if not facts.history:
        return
    moments = [*came, int(facts.history[-1]["t"])]
    for since, until in pairwise(moments):
        for start, end in _quiet(facts, since, until):
            if end - start > STUCK_SECONDS * SECOND and (ev := _waiting(facts, trigger, start, end)):
                seconds = (end - start) / SECOND
                what = f"{trigger.name} got nothing for {seconds:.0f} s, while {ev} waited for it and no fault was on"
                yield Anomaly("STUCK", what, trigger.name, ev, proof(facts.lines(trigger.name, ev)))
                return


def _quiet(facts: Facts, since: int, until: int) -> Iterator[tuple[int, int]]:
    """The stretches between the two in which no fault was on."""
    for window in sorted(facts.windows, key=lambda window: window.on["t"]):
        if window.touches(since, until):
            if window.on["t"] > since:
                yield since, window.on["t"]
            since = max(since, window.end)
    if since < until:
        yield since, until


def _waiting(facts: Facts, trigger: TriggerPlan, start: int, end: int) -> str:
    """An event that the trigger should have had by `start`, and had not come to its end by `end`."""
    for sent in facts.sent.values():
        told = sent.acknowledged
        if told is None or told["t"] > start or not facts.must(trigger, sent):
            continue
        some = (*facts.got.get((trigger.name, sent.ev), ()), *facts.letters.get((trigger.name, sent.ev), ()))
        if all(not one.taken or (not one.stored and one.taken_at >= end) for one in some):
            return sent.ev
    return ""


def leaking(facts: Facts) -> Iterator[Anomaly]:
    """The process grew beyond what its windows and buffers may hold, or kept connections that it does not need."""
    samples: dict[int, list[Record]] = defaultdict(list)
    for record in sorted((*facts.of["ready"], *facts.of["sample"]), key=lambda record: record["t"]):
        samples[record["pid"]].append(record)
    budget = facts.plan.memory_budget
    for some in samples.values():
        first, last = some[0], some[-1]
        largest = max(some, key=lambda record: record["rss"])
        if largest["rss"] - first["rss"] > budget:
            grown = (largest["rss"] - first["rss"]) >> 20
            what = f"the gateway grew by {grown} MiB, with {budget >> 20} MiB for its windows and buffers"
            yield Anomaly("LEAK", what, lines=proof([first, largest]))
        if last["fds"] - first["fds"] > FDS_SLACK:
            what = f"the gateway kept {last['fds']} descriptors open, {first['fds']} at its start"
            yield Anomaly("LEAK", what, lines=proof([first, last]))


def unsettled(facts: Facts) -> Iterator[Anomaly]:
    """Everything has come to its end, and a group has not settled it on the transport."""
    for record in facts.of["unsettled"]:
        if record["events"]:
            what = f"{record['group']} has {record['events']} events unsettled after the end"
            yield Anomaly("UNSETTLED", what, lines=proof([record]))


def misconfigured(facts: Facts) -> Iterator[Anomaly]:
    """A good configuration never came into force, or the one in force at the end is not the last good one."""
    for epoch in facts.epochs:
        if epoch.applied == FOREVER:
            what = f"configuration {epoch.number} was written, the gateway was told, and it never came into force"
            yield Anomaly("CONFIG", what, lines=proof([epoch.record]))
    last = facts.epochs[-1]
    for record in facts.of["config"]:
        if "force" in record and record["force"] != last.number:
            what = (
                f"configuration {record['force']} is in force at the end, the last good one was {last.number}"
            )
            yield Anomaly("CONFIG", what, lines=proof([last.record, record]))


def ended(facts: Facts) -> Iterator[Anomaly]:
    """The gateway ended without having been told to, or not in order."""
    for record in facts.of["exit"]:
        if record["code"] != 0:
            what = f"the gateway ended with {record['code']} after SIGTERM"
            yield Anomaly("ENDED", what, lines=proof([record]))
    for record in facts.of["died"]:
        yield Anomaly("ENDED", f"the gateway ended by itself with {record['code']}", lines=proof([record]))
