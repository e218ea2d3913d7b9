"""The wall clock jumps by an hour or a day, either way: nothing that is not settled goes, nothing that came is forgotten."""

from __future__ import annotations

import pytest

from mesh_gateway.testing.harness import ids, series
from mesh_gateway.transport.contract import EARLIEST, SHARED
from mesh_gateway.transport.embedded.memory import KEPT_SECONDS
from mesh_gateway.transport.embedded.store import Store
from mesh_gateway.transport.embedded.upkeep import PURGE_SECONDS

HOUR, DAY = 3600.0, 86_400.0


@pytest.mark.parametrize("jump", [HOUR, DAY, 3_650 * DAY, -HOUR, -DAY])
async def test_what_is_not_settled_is_there_whatever_the_clock_says(home, jump: float):
    transport = await home.open(retention=60.0)
    await transport.publish("ns/b", series(3))
    subscription = await transport.subscribe("ns/b", SHARED, EARLIEST)
    [first, *_] = await subscription.receive(10)
    await subscription.settle([first])

    home.wall += jump
    for _ in range(3):
        home.clock.advance(PURGE_SECONDS)
        await transport.backlog("ns/b", SHARED)  # after the removals before it
    await transport.close()

    again = await (await home.open()).subscribe("ns/b", SHARED, EARLIEST)
    assert ids(await again.receive(10)) == ["e1", "e2"]


@pytest.mark.parametrize("jump", [0.0, HOUR, DAY, -HOUR, -DAY])
def test_an_identity_that_came_is_known_after_a_jump_of_up_to_a_day(jump: float):
    wall = [20_000 * KEPT_SECONDS + 100.0]
    store = Store(None, now=lambda: wall[0])
    home = store.transact([lambda store: store.create_channel("ns/b")])[0].id
    store.transact([lambda store: store.memory(home).remember([b"a" * 16])])

    wall[0] += jump

    [known] = store.transact([lambda store: store.memory(home).known([b"a" * 16, b"b" * 16])])
    assert known == {b"a" * 16}
    store.close()


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_jump_there_and_back_has_forgotten_nothing_although_others_came_meanwhile(jump: float):
    wall = [20_000 * KEPT_SECONDS + 100.0]
    store = Store(None, now=lambda: wall[0])
    home = store.transact([lambda store: store.create_channel("ns/b")])[0].id
    old, others = b"a" * 16, [bytes([n]) * 16 for n in range(100)]
    store.transact([lambda store: store.memory(home).remember([old])])

    wall[0] += jump
    store.transact([lambda store: store.memory(home).remember(others)])
    wall[0] -= jump

    [known] = store.transact([lambda store: store.memory(home).known([old, *others])])
    assert known == {old, *others}
    store.close()
