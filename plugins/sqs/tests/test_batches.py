"""Several requests at a time."""

from __future__ import annotations

import asyncio

import pytest
from mesh_gateway_sqs.batches import each, tens

from mesh_gateway.errors import ConnectionLost

pytestmark = pytest.mark.anyio


def test_entries_are_taken_in_tens_and_in_their_order():
    assert [len(ten) for ten in tens(range(25))] == [10, 10, 5]
    assert [one for ten in tens(range(25)) for one in ten] == list(range(25))
    assert tens([]) == []


@pytest.mark.parametrize("at_once", [1, 3])
async def test_batches_are_under_way_together_but_never_more_than_are_allowed(at_once):
    now, most, done = 0, 0, []

    async def do(batch):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        done.extend(batch)

    await each(tens(range(75)), do, at_once=at_once)

    assert most == at_once
    assert sorted(done) == list(range(75))
    assert at_once > 1 or done == list(range(75))


@pytest.mark.parametrize("at_once", [1, 3])
async def test_a_batch_that_fails_is_told_when_all_others_are_done(at_once):
    done = []

    async def do(batch):
        await asyncio.sleep(0)
        if 11 in batch:
            raise ConnectionLost("sorry")
        done.extend(batch)

    with pytest.raises(ConnectionLost, match="sorry"):
        await each(tens(range(45)), do, at_once=at_once)

    assert sorted(done) == [*range(10), *range(20, 45)]


async def test_who_is_cancelled_leaves_nothing_under_way():
    under_way = 0

    async def do(batch):
        nonlocal under_way
        under_way += 1
        try:
            await asyncio.Event().wait()
        finally:
            under_way -= 1

    doing = asyncio.ensure_future(each(tens(range(75)), do, at_once=3))
    await asyncio.sleep(0.01)
    assert under_way == 3
    doing.cancel()
    await asyncio.wait([doing])

    assert doing.cancelled()
    assert under_way == 0
