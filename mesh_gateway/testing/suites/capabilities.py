"""What a transport declares is true; what it does not declare it does not pretend to do."""

from __future__ import annotations

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

        assert [stored.event for stored in found] == series(7)
        assert all(stored.enqueued_at > 0 for stored in found)

    async def test_browsing_changes_nothing(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not isinstance(transport, Browsable):
            pytest.skip("there is no browse, as declared")
        channel = await kit.dead_letters(transport)
        await transport.publish(channel, series(5))

        looks = [await transport.browse(channel, after=None, limit=10) for _ in range(3)]

        assert [[stored.event.id for stored in look] for look in looks] == [
            ["e0", "e1", "e2", "e3", "e4"]
        ] * 3
        assert [stored.position for stored in looks[0]] == [stored.position for stored in looks[2]]

    async def test_a_removed_dead_letter_is_gone_and_the_others_stay(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not isinstance(transport, Removable) or not isinstance(transport, Browsable):
            pytest.skip("there is nothing to remove single events with")
        channel = await kit.dead_letters(transport)
        await transport.publish(channel, series(4))
        positions = [stored.position for stored in await transport.browse(channel, after=None, limit=10)]

        assert await transport.remove(channel, positions[1:3]) == 2
        assert await transport.remove(channel, positions[1:3]) == 0

        await kit.close()
        transport = await kit.transport()
        assert isinstance(transport, Browsable)
        left = await transport.browse(channel, after=None, limit=10)
        assert [stored.event.id for stored in left] == ["e0", "e3"]
        if isinstance(transport, Measurable):
            assert (await transport.backlog(channel, OPERATORS)).events == 2

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
        assert [stored.event for stored in found] == series(3)

    async def test_the_backlog_is_what_is_not_settled(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not isinstance(transport, Measurable):
            pytest.skip("there is no backlog to be asked for, as declared")
        channel = await kit.channel(transport)
        assert (await transport.backlog(channel, SHARED)).events == 0
        await transport.publish(channel, series(5))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.receive(subscription, 5)

        whole = await transport.backlog(channel, SHARED)
        await subscription.settle(found)
        await subscription.close()
        empty = await transport.backlog(channel, SHARED)

        assert whole.events == 5
        assert whole.oldest_age is not None
        assert whole.oldest_age >= 0
        assert (empty.events, empty.oldest_age) == (0, None)

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
