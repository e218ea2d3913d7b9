"""What a transport declares is true; what it does not declare it does not pretend to do."""

from __future__ import annotations

from functools import partial

import pytest

from mesh_gateway.testing.harness import Kit, ids, series
from mesh_gateway.transport.contract import (
    EARLIEST,
    OPERATORS,
    SHARED,
    TRANSPORT_API,
    Browsable,
    Capabilities,
    Measurable,
    Removable,
    Stored,
)


class DeclaredCapabilities:
    """Tests of the optional parts."""

    api = TRANSPORT_API
    """The version of the contract that the transport was written for."""

    async def test_the_kit_and_the_transport_speak_of_the_same_contract(self, kit: Kit) -> None:
        assert self.api == TRANSPORT_API
        assert isinstance(kit.harness.make().capabilities, Capabilities)

    async def test_the_declared_values_make_sense(self, kit: Kit) -> None:
        declared = kit.harness.make().capabilities

        assert declared.delay >= 0
        assert declared.lease is None or declared.lease > 0
        assert declared.dedup is None or declared.dedup > 0
        assert declared.max_batch > 0

    async def test_browsing_is_there_exactly_when_it_is_declared(self, kit: Kit) -> None:
        transport = await kit.transport()

        assert isinstance(transport, Browsable) == transport.capabilities.browse

    async def test_measuring_is_there_exactly_when_it_is_declared(self, kit: Kit) -> None:
        transport = await kit.transport()

        assert isinstance(transport, Measurable) == transport.capabilities.measure

    async def test_browsing_shows_all_dead_letters_in_pages(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not isinstance(transport, Browsable):
            pytest.skip("there is no browse, as declared")
        channel = await kit.dead_letters(transport)
        await transport.publish(channel, series(7))

        found: list[Stored] = []
        after = None
        while page := await transport.browse(channel, after=after, limit=3):
            assert len(page) <= 3
            found += page
            after = page[-1].position

        if transport.capabilities.ordering != "channel":  # of one age, so none of them is the older
            found.sort(key=lambda stored: stored.event.id)
        assert [stored.event for stored in found] == series(7)
        assert all(stored.enqueued_at > 0 for stored in found)

    async def test_browsing_changes_nothing(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not isinstance(transport, Browsable):
            pytest.skip("there is no browse, as declared")
        channel = await kit.dead_letters(transport)
        await transport.publish(channel, series(5))

        looks = [await transport.browse(channel, after=None, limit=10) for _ in range(3)]

        assert sorted(stored.event.id for stored in looks[0]) == ["e0", "e1", "e2", "e3", "e4"]
        first, *others = [[(stored.event.id, stored.position) for stored in look] for look in looks]
        assert others == [first, first]

    async def test_a_removed_dead_letter_is_gone_and_the_others_stay(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not isinstance(transport, Removable) or not isinstance(transport, Browsable):
            pytest.skip("there is nothing to remove single events with")
        channel = await kit.dead_letters(transport)
        await transport.publish(channel, series(4))
        stored = {one.event.id: one for one in await transport.browse(channel, after=None, limit=10)}
        positions = [stored["e1"].position, stored["e2"].position]

        assert await transport.remove(channel, positions) == 2
        assert await transport.remove(channel, positions) == 0

        await kit.close()
        transport = await kit.transport()
        assert isinstance(transport, Browsable)
        left = await transport.browse(channel, after=None, limit=10)
        assert sorted(one.event.id for one in left) == ["e0", "e3"]
        if isinstance(transport, Measurable):
            assert await kit.eventually(partial(is_behind, transport, channel, OPERATORS, 2))

    async def test_dead_letters_outlive_the_transport(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not isinstance(transport, Browsable):
            pytest.skip("there is no browse, as declared")
        channel = await kit.dead_letters(transport)
        await transport.publish(channel, series(3))

        await kit.close()
        transport = await kit.transport()

        assert isinstance(transport, Browsable)
        found = await transport.browse(channel, after=None, limit=10)
        assert sorted((one.event for one in found), key=lambda event: event.id) == series(3)

    async def test_the_backlog_is_what_is_not_settled(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not isinstance(transport, Measurable):
            pytest.skip("there is no backlog to be asked for, as declared")
        channel = await kit.channel(transport)
        assert await kit.eventually(partial(is_behind, transport, channel, SHARED, 0))
        await transport.publish(channel, series(5))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.receive(subscription, 5)

        assert await kit.eventually(partial(is_behind, transport, channel, SHARED, 5))
        age = (await transport.backlog(channel, SHARED)).oldest_age
        await subscription.settle(found)
        await subscription.close()

        assert age is None or age >= 0  # not every broker can tell
        assert await kit.eventually(partial(is_behind, transport, channel, SHARED, 0))
        assert (await transport.backlog(channel, SHARED)).oldest_age is None

    async def test_attempts_are_counted_as_declared(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(1))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        [first] = await kit.receive(subscription, 1)
        await subscription.close()
        again = await transport.subscribe(channel, SHARED, EARLIEST)
        [second] = await kit.receive(again, 1)

        if transport.capabilities.counts_attempts:
            assert (first.attempt, second.attempt) == (1, 2)
        else:
            assert (first.attempt, second.attempt) == (None, None)

    async def test_a_lease_ends_as_declared(self, kit: Kit) -> None:
        transport = await kit.transport()
        lease = transport.capabilities.lease
        channel = await kit.channel(transport)
        await transport.publish(channel, series(1))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        [delivery] = await kit.receive(subscription, 1)
        if lease is None:
            assert await kit.nothing_but(transport, channel, subscription) == []
            return

        await kit.harness.advance(lease)

        [again] = await kit.receive(subscription, 1)
        assert again.event.id == delivery.event.id
        await subscription.settle([again])

    async def test_a_second_copy_is_dropped_only_where_that_is_declared(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)

        await transport.publish(channel, series(1))
        await transport.publish(channel, series(1))

        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        copies = 1 if transport.capabilities.dedup else 2
        assert ids(await kit.receive(subscription, copies)) == ["e0"] * copies
        assert await kit.nothing_but(transport, channel, subscription) == []


async def is_behind(transport: Measurable, channel: str, group: str, events: int) -> bool:
    """Whether the group's backlog is so many events."""
    return (await transport.backlog(channel, group)).events == events
