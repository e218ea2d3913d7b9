"""What became of events: lost, out of nowhere, twice, at the wrong door, changed, after their burial."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Literal

from mesh_gateway.testing.probe.checker.anomaly import Anomaly, proof
from mesh_gateway.testing.probe.checker.facts import Copy, Facts, Got

Cause = Literal["D1", "D2", "D3", "D4"]
"""Why something came twice: the sender sent again (D1), the answer was none or no 2xx (D2), a fault was on (D3),
nothing explains it (D4)."""

UNEXPLAINED_SHARE = 0.001
"""Of all that came, that may come again without an explanation in a run with faults: the figure of Knative's own
prober (sacura). Without faults, none."""


def lost(facts: Facts) -> Iterator[Anomaly]:
    """Acknowledged, wanted by a trigger, and without an end there."""
    for sent in facts.sent.values():
        if sent.acknowledged is None:
            continue
        for trigger in facts.triggers.values():
            if facts.must(trigger, sent) and not facts.ended(trigger.name, sent.ev):
                what = f"{sent.ev} was acknowledged, and {trigger.name} neither took it nor is there a dead letter"
                yield Anomaly("LOST", what, trigger.name, sent.ev, proof(facts.lines(trigger.name, sent.ev)))


def phantoms(facts: Facts) -> Iterator[Anomaly]:
    """Never sent, or refused, and it came all the same."""
    for got in facts.strange:
        if got.recv["hash"].startswith("ok") and got.trigger in facts.triggers:
            what = f"{got.ev} came to {got.trigger}, and nobody sent it"
            yield Anomaly("PHANTOM", what, got.trigger, got.ev, proof(got.lines))
    for got in _everything(facts):
        sent = facts.sent[got.ev]
        if got.copy[2] not in sent.attempts:
            what = f"{got.ev} came to {got.trigger} with attempt {got.copy[2]!r}, which nobody made"
        elif sent.refused(got.copy[2]):
            what = f"{got.ev} was refused, and came to {got.trigger} all the same"
        else:
            continue
        yield Anomaly("PHANTOM", what, got.trigger, got.ev, proof([*sent.lines, *got.lines]))


def causes(facts: Facts) -> dict[Cause, list[Got]]:
    """Everything that came again, by why: copies at subscribers, and dead letters."""
    found: dict[Cause, list[Got]] = {"D1": [], "D2": [], "D3": [], "D4": []}
    for some in (*facts.got.values(), *facts.letters.values()):
        first = some[0].copy
        by_copy: dict[Copy, list[Got]] = defaultdict(list)
        for got in some:
            by_copy[got.copy].append(got)
        for copy, again in by_copy.items():
            if copy != first:
                found["D1"].append(again[0])
            for index in range(1, len(again)):
                found[_cause(facts, again[:index], again[index])].append(again[index])
    return found


def _cause(facts: Facts, before: list[Got], again: Got) -> Cause:
    taken = [got for got in before if got.taken]
    if not taken:
        return "D2"
    # Since it was sent, and not only since it was taken: what was parked, and not settled before a kill, is there twice.
    return "D3" if facts.disturbed(facts.sent[again.ev].begun, again.t) or again.stored else "D4"


def duplicates(facts: Facts) -> Iterator[Anomaly]:
    """Taken, and delivered again without a cause, more often than may be."""
    unexplained = causes(facts)["D4"]
    came = sum(1 for _ in _everything(facts))
    allowed = int(came * UNEXPLAINED_SHARE) if facts.windows else 0
    if len(unexplained) <= allowed:
        return
    for got in unexplained:
        what = (
            f"{got.ev} came to {got.trigger} again after it was taken, and nothing explains it "
            f"({len(unexplained)} of {came} deliveries, {allowed} allowed)"
        )
        yield Anomaly("DUP", what, got.trigger, got.ev, proof(facts.lines(got.trigger, got.ev)))


def misrouted(facts: Facts) -> Iterator[Anomaly]:
    """At a trigger that never wanted it."""
    for got in _everything(facts):
        sent = facts.sent[got.ev]
        if not facts.may(facts.triggers[got.trigger], sent, got.t):
            what = f"{got.ev} came to {got.trigger}, whose filter says no to {dict(sent.attributes)}"
            yield Anomaly("MISROUTED", what, got.trigger, got.ev, proof([*sent.lines, *got.lines]))
    for got in facts.strange:
        if got.trigger not in facts.triggers and got.recv["hash"].startswith("ok"):
            what = f"a dead letter of {got.trigger!r}, which is no trigger here"
            yield Anomaly("MISROUTED", what, got.trigger, got.ev, proof(got.lines))


def corrupt(facts: Facts) -> Iterator[Anomaly]:
    """Not what was sent: attributes, content type or data differ."""
    for got in (*facts.all_got(), *(one for one in facts.strange if not one.recv["hash"].startswith("ok"))):
        sent = facts.sent.get(got.ev)
        if sent is not None and got.recv["hash"] == f"ok {sent.hash}":
            continue
        what = f"{got.ev or 'something'} came to {got.trigger or 'a sink'} changed: {got.recv['hash']}"
        lines = [] if sent is None else sent.lines
        yield Anomaly("CORRUPT", what, got.trigger, got.ev, proof([*lines, *got.lines]))


def zombies(facts: Facts) -> Iterator[Anomaly]:
    """Delivered again after its dead letter was taken, with no fault between."""
    for where, letters in facts.letters.items():
        buried: dict[Copy, int] = {}
        for letter in letters:
            if letter.taken and not letter.stored:
                buried.setdefault(letter.copy, letter.taken_at)
        for got in facts.got.get(where, ()):
            at = buried.get(got.copy)
            if at is not None and got.t > at and not facts.disturbed(at, got.t):
                what = f"{got.ev} came to {got.trigger} after its dead letter had been taken"
                yield Anomaly("ZOMBIE", what, got.trigger, got.ev, proof(facts.lines(*where)))


def ends(facts: Facts) -> Counter[str]:
    """Trigger -> events that came to an end there."""
    wheres = {*facts.got, *facts.letters}
    return Counter(trigger for trigger, ev in wheres if facts.ended(trigger, ev))


def _everything(facts: Facts) -> Iterator[Got]:
    yield from facts.all_got()
    for letters in facts.letters.values():
        yield from letters
