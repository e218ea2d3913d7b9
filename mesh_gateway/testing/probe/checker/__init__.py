"""From a history to the anomalies in it: pure, and the only judge of a run.

Reading order: `facts.py` (the history by event, copy and fault), then one module for each kind of question:
`deliveries.py` (lost, phantom, twice, misrouted, corrupt, after its dead letter), `order.py`, `letters.py` (what dead
letters say), `replies.py`, `gateway.py` (stuck, leaking, unsettled, wrong configuration, ended), `latency.py` (told, not
judged). `anomaly.py` is what they find.

Everything here trusts the lines of the history and the plan, and nothing that a gateway says of its own work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mesh_gateway.testing.probe.checker import deliveries, gateway, letters, order, replies
from mesh_gateway.testing.probe.checker.anomaly import Anomaly
from mesh_gateway.testing.probe.checker.facts import Facts

__all__ = ["Anomaly", "Facts", "anomalies"]

QUESTIONS: Sequence[Callable[[Facts], Iterator[Anomaly]]] = (
    deliveries.lost,
    deliveries.phantoms,
    deliveries.duplicates,
    deliveries.misrouted,
    deliveries.corrupt,
    deliveries.zombies,
    order.overtaken,
    letters.bad,
    replies.lost,
    replies.changed,
    gateway.stuck,
    gateway.leaking,
    gateway.unsettled,
    gateway.misconfigured,
    gateway.ended,
)


def anomalies(facts: Facts) -> list[Anomaly]:
    """Everything that is wrong in the history."""
    return [found for question in QUESTIONS for found in question(facts)]
