"""What a trigger sends next: first come first served, or one at a time for each key."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from mesh_gateway.delivery.sink import Sink
from mesh_gateway.transport.contract import Delivery

FOR_EVER: Final = float("inf")


class Copy:
    """A copy of an event for one trigger: from the offer to its durable end."""

    __slots__ = (
        "attempt",
        "delivery",
        "finish",
        "lane",
        "limit",
        "since",
        "sink",
        "size",
        "started",
        "twin",
        "was_parked",
    )

    def __init__(self, delivery: Delivery, finish: Callable[[Delivery], None], size: int) -> None:
        self.delivery = delivery
        self.finish = finish
        self.size = size
        self.attempt = 0
        self.lane = ""
        self.started = 0.0
        self.since = 0.0
        """When it came into the window."""
        self.limit = FOR_EVER
        """Seconds that its transport lets it be held unsettled."""
        self.sink: Sink | None = None
        """Who was given its last attempt: not the trigger's sink of today, if that was replaced meanwhile."""
        self.was_parked = False
        """It lies in the parked channel until its end, and nowhere else: it came from there, or its twin is durable."""
        self.twin: str | None = None
        """Of one that did not come from there and lies there all the same, or soon will; as `Twins` knows it."""

    @property
    def lies_parked(self) -> bool:
        """Whether a process after this one will find it in the parked channel, or will once its twin is durable."""
        return self.was_parked or self.twin is not None


class Lanes(Protocol):
    """Who is next. A copy is pushed once, popped for each attempt, and released at its end."""

    def push(self, copy: Copy) -> None:
        """A new copy waits."""
        ...

    def pop(self) -> Copy | None:
        """The next copy that may be sent now."""
        ...

    def resume(self, copy: Copy) -> None:
        """A popped copy is due for another attempt."""
        ...

    def release(self, copy: Copy) -> None:
        """A popped copy has ended; its successor may go."""
        ...

    def before(self, copy: Copy) -> Iterable[Copy]:
        """Those that are held and must not be overtaken by this one, which is not; newest first."""
        ...


class Unordered:
    """First come, first served; a retry waits for nobody and nobody waits for it."""

    def __init__(self) -> None:
        self._ready: deque[Copy] = deque()
        self.push = self._ready.append
        self.resume = self._ready.append

    def pop(self) -> Copy | None:
        return self._ready.popleft() if self._ready else None

    def release(self, copy: Copy) -> None:
        """Nothing waits for it."""

    def before(self, copy: Copy) -> Iterable[Copy]:
        """Nobody minds being overtaken."""
        return ()


class PerKey:
    """One at a time for each key, retries included; keys do not wait for each other.

    The key is the event's `partitionkey`, else what the transport orders by, else "" for all.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Copy]] = {}
        self._ready: deque[str] = deque()

    def push(self, copy: Copy) -> None:
        copy.lane = _key(copy.delivery)
        lane = self._lanes.get(copy.lane)
        if lane is None:
            self._lanes[copy.lane] = deque((copy,))
            self._ready.append(copy.lane)
        else:
            lane.append(copy)

    def pop(self) -> Copy | None:
        # The copy stays at the head of its lane until it is released: that is the order.
        return self._lanes[self._ready.popleft()][0] if self._ready else None

    def resume(self, copy: Copy) -> None:
        self._ready.append(copy.lane)

    def release(self, copy: Copy) -> None:
        lane = self._lanes[copy.lane]
        lane.popleft()
        if lane:
            self._ready.append(copy.lane)
        else:
            del self._lanes[copy.lane]

    def before(self, copy: Copy) -> Iterable[Copy]:
        return reversed(self._lanes.get(_key(copy.delivery), ()))


def _key(delivery: Delivery) -> str:
    return delivery.event.attributes.get("partitionkey") or delivery.key or ""
