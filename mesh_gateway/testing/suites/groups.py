"""Which readers get an event, and where a group of them begins."""

from __future__ import annotations

import asyncio

import pytest

from mesh_gateway.errors import Unsupported
from mesh_gateway.testing.harness import Kit, at_position, ids, numbered, series
from mesh_gateway.testing.outage import read_on
from mesh_gateway.transport.contract import EARLIEST, LATEST, SHARED, Start, Transport


class Groups:
    """Tests of groups, their members and their starts."""

    async def test_two_groups_each_get_every_event(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not transport.capabilities.groups:
            channel = await kit.channel(transport)
            with pytest.raises(Unsupported):
                await transport.subscribe(channel, "a-second-group", EARLIEST)
            pytest.skip("a second group is refused, as declared")
        channel = await kit.channel(transport, "one", "two")
        await transport.publish(channel, series(5))

        found = []
        for group in ("one", "two"):
            subscription = await transport.subscribe(channel, group, EARLIEST)
            found.append(await kit.receive(subscription, 5))
            await subscription.settle(found[-1])

        for share in found:
            assert sorted(ids(share)) == sorted(event.id for event in series(5))

    async def test_two_members_of_a_group_share_its_events(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        members = [await transport.subscribe(channel, SHARED, EARLIEST) for _ in range(2)]
        await transport.publish(channel, series(20))

        found: list[str] = []
        async with asyncio.timeout(kit.harness.recovery):
            while len(set(found)) < 20:
                for member in members:
                    share = await member.receive(3)
                    found += ids(share)
                    await member.settle(share)

        assert set(found) == {event.id for event in series(20)}
        if transport.capabilities.settle == "individual":  # a watermark may step back while members join
            assert len(found) == 20, "an event was handed to two members"

    async def test_what_a_member_held_goes_to_the_others_when_it_closes(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        staying = await transport.subscribe(channel, SHARED, EARLIEST)
        await transport.publish(channel, series(4))
        kept = await kit.receive(staying, 4)
        await staying.settle(kept)
        leaving = await transport.subscribe(channel, SHARED, EARLIEST)
        await transport.publish(channel, series(4, "late"))
        await leaving.receive(2)
        await leaving.close()

        _, found = await read_on(kit, transport, channel, {event.id for event in series(4, "late")}, staying)

        assert sorted(ids(found)) == sorted(event.id for event in series(4, "late"))

    # ── where a group begins ─────────────────────────────────────────────────────────────────

    async def test_a_new_group_begins_where_it_is_told(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        if not transport.capabilities.groups:
            pytest.skip("only one group, as declared (see the test of two groups)")
        await transport.publish(channel, series(3, "old"))

        latest = await transport.subscribe(channel, "from-now-on", LATEST)
        try:
            earliest = await transport.subscribe(channel, "from-the-start", EARLIEST)
        except Unsupported:
            assert not transport.capabilities.seek, "who can begin anywhere can begin at the start"
            earliest = None  # a broker that keeps nothing for groups to come, and says so
        await transport.publish(channel, series(1, "new"))

        assert ids(await kit.receive(latest, 1)) == ["new0"]
        if earliest is not None:
            assert sorted(ids(await kit.receive(earliest, 4))) == ["new0", "old0", "old1", "old2"]

    async def test_a_group_that_exists_goes_on_whatever_start_is_asked_for(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(3))

        subscription = await transport.subscribe(channel, SHARED, LATEST)

        assert sorted(ids(await kit.receive(subscription, 3))) == ["e0", "e1", "e2"]

    async def test_a_group_begins_at_a_position_or_refuses_it(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(
            channel, series(5, key="k")
        )  # one key: a position says nothing of other partitions
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = {delivery.event.id: delivery for delivery in await kit.receive(subscription, 5)}
        start = at_position(found["e3"])
        if "position" not in transport.capabilities.seek:
            await assert_start_refused(transport, channel, start)

        seeking = await transport.subscribe(channel, "at-a-position", start)

        assert sorted(ids(await kit.receive(seeking, 2))) == ["e3", "e4"]
        assert await kit.nothing_but(transport, channel, seeking, key="k") == []

    async def test_a_group_begins_at_a_moment_or_refuses_it(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        if "timestamp" not in transport.capabilities.seek:
            await assert_start_refused(transport, channel, Start("timestamp", timestamp=0.0))
        await transport.publish(channel, [numbered("before", key="k")])
        [before] = await kit.receive(subscription, 1)
        assert before.enqueued_at is not None, "who can be told a moment can tell the moments of its events"
        after = before
        later: list[str] = []
        while after.enqueued_at == before.enqueued_at:  # as fine as the transport's clock is
            later = [f"after{after.position}"]
            await transport.publish(channel, [numbered(later[0], key="k")])
            [after] = await kit.receive(subscription, 1)

        seeking = await transport.subscribe(
            channel, "at-a-moment", Start("timestamp", timestamp=after.enqueued_at)
        )

        assert ids(await kit.receive(seeking, 1)) == later
        assert await kit.nothing_but(transport, channel, seeking, key="k") == []


async def assert_start_refused(transport: Transport, channel: str, start: Start) -> None:
    """The capability is not declared: it must be refused, and then the test is skipped."""
    with pytest.raises(Unsupported):
        await transport.subscribe(channel, f"at-a-{start.at}", start)
    pytest.skip(f"a start at a {start.at} is refused, as declared")
