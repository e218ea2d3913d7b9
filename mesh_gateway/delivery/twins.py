"""Order across a crash: what an ordered trigger holds in memory is parked as well before a younger copy of its key is.

A copy that waits in the window lies in the broker's channel only. Were a younger one of its key parked, and the process
killed, the parked one would be read first and the older one come after it. So the older one is parked, too, in its place:
its twin. Once that is durable, the copy is settled in the broker's channel and lies in the parked one only. As long as
this process lives, the twin is not sent; it ends with the copy. In the next one it is sent, in its place.

Only the process that made a twin knows it. Another gateway that reads the same parked channel takes it for a copy like
any other.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from mesh_gateway.delivery.lanes import Copy
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery

TWIN = "meshtwin"
"""Attribute of a parked copy only, as those of `waiting`."""

Finish = Callable[[Delivery], None]


class Twins:
    """Those of one trigger: which copies have one, and what ends it. A twin may come more than once: it lies there twice
    if it was not known what had become of a publish, and comes again if it was not known what had become of a settle.
    """

    def __init__(self, park: Callable[[Copy, Event], None], released: Callable[[Copy], None]) -> None:
        self._park = park
        self._released = released
        self._process = uuid.uuid4().hex
        self._numbers = count()
        self._open: dict[str, _Twin] = {}
        """Twins of copies that have not ended. Any other that this process has made has ended."""
        self._waiting: set[Copy] = set()
        """Copies of a trigger that goes, which stay with it until they lie parked."""

    def park(self, copy: Copy) -> None:
        """The copy is held as before, and lies parked as well. As soon as it does, its place in the broker's channel is
        no longer needed: from then on its end is that of its twin.
        """
        event = copy.delivery.event
        name = f"{self._process}-{next(self._numbers)}"
        self._open[name] = _Twin(event, [])
        copy.twin = name

        def lies_there(delivery: Delivery) -> None:
            if name not in self._open:
                return  # it has ended meanwhile
            copy.finish(delivery)
            copy.finish = _ends_with_its_twin
            copy.was_parked = True
            if copy in self._waiting:
                self._waiting.remove(copy)
                self._released(copy)

        self._park(Copy(copy.delivery, lies_there, copy.size), event.with_attributes({TWIN: name}))

    def release_when_durable(self, copy: Copy) -> None:
        """Give this copy to `released` once its twin lies in the parked channel, to come again from there."""
        self._waiting.add(copy)

    def came(self, delivery: Delivery, finish: Finish) -> bool:
        """Whether this parked copy is the twin of one that this process has, or had: then it is dealt with. Of any other
        the event is afterwards what it was before it was parked.
        """
        name = delivery.event.attributes.get(TWIN)
        if name is None:
            return False
        twin = self._open.get(name)
        if twin is not None:
            delivery.event = twin.event  # so that its data are not in memory twice
            twin.came.append((delivery, finish))
            return True
        if name.startswith(self._process):
            finish(delivery)
            return True
        delivery.event = delivery.event.with_attributes({TWIN: None})
        return False

    def ended(self, name: str) -> None:
        """The copy with this twin has a durable end, and so has its twin."""
        for delivery, finish in self._open.pop(name).came:
            finish(delivery)


@dataclass(frozen=True, slots=True)
class _Twin:
    event: Event
    """As the copy has it."""
    came: list[tuple[Delivery, Finish]]
    """What has come back of it, with what ends it."""


def _ends_with_its_twin(delivery: Delivery) -> None:
    """Its place in the broker's channel is settled already; the twin is what ends now."""
