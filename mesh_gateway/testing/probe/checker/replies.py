"""Replies: each that a subscriber gave becomes one event, under the id it was given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mesh_gateway.testing.probe.checker.anomaly import Anomaly, proof
from mesh_gateway.testing.probe.checker.facts import Facts, Got
from mesh_gateway.testing.probe.plan import REPLY


def lost(facts: Facts) -> Iterator[Anomaly]:
    """A reply was given, and no trigger that wants it ever came to an end with it.

    A cause that was dead-lettered is excused: its answer had not reached the gateway.
    """
    for where, some in list(facts.got.items()):
        answers = [got.answer for got in some if got.answer is not None and "reply" in got.answer]
        if not answers or any(letter.taken for letter in facts.letters.get(where, ())):
            continue
        ev = answers[0]["reply"]
        sent = facts.sent[ev]
        for trigger in facts.triggers.values():
            if facts.must(trigger, sent) and not facts.ended(trigger.name, ev):
                what = f"{where[0]} replied to {where[1]}, and {trigger.name} never got the reply"
                yield Anomaly(
                    "REPLY-LOST",
                    what,
                    trigger.name,
                    ev,
                    proof([*facts.lines(*where), *facts.lines(trigger.name, ev)]),
                )


def changed(facts: Facts) -> Iterator[Anomaly]:
    """Replies to one cause came under several ids."""
    ids: dict[str, dict[str, Got]] = defaultdict(dict)
    for got in facts.all_got():
        sent = facts.sent[got.ev]
        if "cause" in got.recv and sent.attributes.get("type") == REPLY:
            ids[got.recv["cause"]].setdefault(got.recv["id"], got)
    for cause, some in ids.items():
        if len(some) > 1:
            what = f"the reply to {cause} came under {len(some)} ids: {', '.join(some)}"
            first, *_ = some.values()
            lines = [line for got in some.values() for line in got.lines]
            yield Anomaly("REPLY-DUP", what, first.trigger, first.ev, proof(lines))
