"""A retry that waits in the parked channel: how many attempts there were and when the next is due travel with the event.

Moments are wall-clock here, because they outlive the process; a clock that has jumped makes a wait no longer than
`longest`, and never a storm: what is overdue is due now.
"""

from __future__ import annotations

from mesh_gateway.event import Event

ATTEMPTS, DUE = "meshretried", "meshdue"
"""Attributes of a parked copy only: producers cannot set them, and they are taken off before anybody sees the event."""

WATERMARK_SECONDS = 30.0
"""How long one event may hold back the settled position of those after it. A retry that is due sooner is cheaper
waited for than parked (a write, a read, and its place in the order); a restart repeats what was done meanwhile."""


def hold_limits(settle: str, lease: float | None) -> tuple[float, float]:
    """Seconds that a copy may be held unsettled: of a broker's channel, and of a parked channel, which holds back nobody."""
    longest = float("inf") if lease is None else lease
    return (min(longest, WATERMARK_SECONDS) if settle == "watermark" else longest), longest


def marked(event: Event, attempts: int, due: float) -> Event:
    """The event as it is parked."""
    return event.with_attributes({ATTEMPTS: str(attempts), DUE: f"{due:.3f}"})


def unmarked(event: Event, now: float, longest: float) -> tuple[Event, int, float]:
    """The event as it was, its attempts so far, and the seconds until the next is due."""
    get = event.attributes.get
    attempts, due = get(ATTEMPTS), get(DUE)
    if attempts is None or due is None:
        return event, 0, 0.0
    unmarked = event.with_attributes({ATTEMPTS: None, DUE: None})
    try:
        return unmarked, max(0, int(attempts)), min(max(0.0, float(due) - now), longest)
    except ValueError:  # not ours: a producer that writes to the broker's topic or queue itself may set them
        return unmarked, 0, 0.0
