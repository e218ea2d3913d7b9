"""Order: for each key one at a time, retries included, in the order in which the sender was told that they are stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mesh_gateway.testing.probe.checker.anomaly import Anomaly, proof
from mesh_gateway.testing.probe.checker.facts import Facts, Sent


def overtaken(facts: Facts) -> Iterator[Anomaly]:
    """An event came to an ordered trigger before one of its key that was sent earlier had come to its end.

    Only events that were acknowledged count: one that was given up may be stored at any later moment.
    """
    for trigger in facts.triggers.values():
        if not trigger.ordered:
            continue
        keys: dict[tuple[str, str], list[Sent]] = defaultdict(list)
        for sent in facts.sent.values():
            if sent.acknowledged is not None and facts.must(trigger, sent) and sent.key:
                keys[sent.sender, sent.key].append(sent)
        for some in keys.values():
            yield from _of_key(facts, trigger.name, sorted(some, key=lambda sent: sent.seq))


def _of_key(facts: Facts, trigger: str, some: list[Sent]) -> Iterator[Anomaly]:
    before: Sent | None = None
    before_ended = 0
    for sent in some:
        got = facts.got.get((trigger, sent.ev))
        if not got:
            continue
        if before is not None and got[0].t < before_ended:
            what = f"{sent.ev} came to {trigger} before {before.ev}, of the same key, had come to its end"
            lines = [*facts.lines(trigger, before.ev), *facts.lines(trigger, sent.ev)]
            yield Anomaly("ORDER", what, trigger, sent.ev, proof(lines))
        ended = _ended(facts, trigger, sent.ev)
        if ended > before_ended:
            before, before_ended = sent, ended


def _ended(facts: Facts, trigger: str, ev: str) -> int:
    """When it first came to an end. Of a letter in the broker's channel it is known only that it was after the last
    attempt.
    """
    got = facts.got[trigger, ev]
    moments = [one.taken_at for one in got if one.taken]
    letters = facts.letters.get((trigger, ev), ())
    moments += [got[-1].taken_at if letter.stored else letter.taken_at for letter in letters]
    return min(moments, default=0)
