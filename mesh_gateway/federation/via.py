"""The loop guard: which brokers have logged an event, and how many links it has crossed.

`meshvia` names places, `cluster/namespace/broker`, in the order in which they logged the event. A place that only
carries an event is not in it: whoever takes "carried" for "logged" loses what the carrier had not stored yet.
"""

from __future__ import annotations

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event

VIA, HOPS = "meshvia", "meshhops"

MAX_HOPS = 16
"""Links that an event may cross unless the Gateway says otherwise."""

_SEPARATOR = ","


def logged_by(event: Event) -> list[str]:
    """The places that have logged this event before it came here."""
    via = event.attributes.get(VIA)
    return via.split(_SEPARATOR) if via else []


def hops(event: Event) -> int:
    """How many links it has crossed. Raises `InvalidEvent` when that is no number."""
    text = event.attributes.get(HOPS, "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise InvalidEvent(f"{HOPS}: must be a decimal number, not {text[:32]!r}")
    return int(text)


def crossing(event: Event, here: str) -> Event:
    """The event as it leaves `here`, which has logged it, for its next link. Raises `InvalidEvent`."""
    places = logged_by(event)
    if here not in places:
        places.append(here)
    return event.with_attributes({VIA: _SEPARATOR.join(places), HOPS: str(hops(event) + 1)})
