"""An event that a transport can never store is refused by itself; the others of its batch are stored."""

from __future__ import annotations

from functools import partial

from mesh_gateway.errors import EventTooLarge, MeshError, PublishError
from mesh_gateway.transport.batch import tell


def test_each_waiter_of_a_batch_learns_its_own_ending():
    told: dict[int, MeshError | None] = {}
    too_large = EventTooLarge("2 MiB, the limit is 1 MiB")
    error = PublishError("a mixed batch", failed=[1], unknown=[2], refused={3: too_large})

    tell([partial(told.__setitem__, n) for n in range(5)], error)

    assert told == {0: None, 1: error, 2: error, 3: too_large, 4: None}
