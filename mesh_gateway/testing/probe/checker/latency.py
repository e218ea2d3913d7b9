"""How long events took from being sent to their first delivery: told, not judged; a machine is as fast as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesh_gateway.testing.probe.checker.facts import Facts

MILLISECOND = 1_000_000


def latencies(facts: Facts) -> dict[str, dict[str, Any]]:
    """Trigger -> milliseconds in quiet times and with a fault on: count, p50, p99, most."""
    found = {}
    for trigger in facts.triggers:
        quiet: list[float] = []
        faulty: list[float] = []
        for (name, ev), some in facts.got.items():
            if name == trigger:
                begun = facts.sent[ev].begun
                took = max(0.0, (some[0].t - begun) / MILLISECOND)
                (faulty if facts.disturbed(begun, some[0].t) else quiet).append(took)
        found[trigger] = {"quiet": _summary(quiet), "faults": _summary(faulty)}
    return found


def _summary(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99)]
    return {
        "count": len(ordered),
        "p50": round(at[0], 1),
        "p99": round(at[1], 1),
        "most": round(ordered[-1], 1),
    }
