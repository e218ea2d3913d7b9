"""How often an event comes, and in which order, until it is settled."""

from __future__ import annotations

import asyncio

import pytest

from mesh_gateway.errors import TransportError, Unsupported
from mesh_gateway.testing.harness import Kit, ids, numbered, positions_by_id, series
from mesh_gateway.testing.outage import read_on
from mesh_gateway.transport.contract import EARLIEST, SHARED


class Deliveries:
    """Tests of settling, releasing, positions and order."""

    # ── nothing is lost ──────────────────────────────────────────────────────────────────────

    async def test_what_is_not_settled_comes_again_from_the_next_subscription(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(10))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        await kit.receive(subscription, 10)
        await subscription.close()

        again = await transport.subscribe(channel, SHARED, EARLIEST)

        assert sorted(ids(await kit.receive(again, 10))) == sorted(event.id for event in series(10))

    async def test_what_is_not_settled_outlives_the_transport(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(10))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        await kit.receive(subscription, 5)

        _, again = await kit.read_anew(channel)

        assert sorted(ids(await kit.receive(again, 10))) == sorted(event.id for event in series(10))

    async def test_what_is_settled_never_comes_again(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(10))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        await subscription.settle(await kit.receive(subscription, 10))
        await subscription.close()

        transport, again = await kit.read_anew(channel)

        assert await kit.nothing_but(transport, channel, again) == []

    async def test_a_cancelled_receive_loses_nothing(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        got: list[str] = []
        for moment in range(10):
            waiting = asyncio.ensure_future(subscription.receive(10))
            await asyncio.sleep(0)
            await transport.publish(channel, series(2, f"{moment}-"))
            await asyncio.sleep(moment / 1_000)  # at another point of its way each time
            waiting.cancel()
            await asyncio.wait([waiting])
            got += [] if waiting.cancelled() else ids(waiting.result())

        rest = await kit.receive(subscription, 20 - len(got))

        assert sorted(got + ids(rest)) == sorted(f"{moment}-{n}" for moment in range(10) for n in range(2))

    async def test_a_restart_of_the_server_loses_nothing(self, kit: Kit) -> None:
        restart = kit.restarting()
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(10))
        await transport.close()
        await restart()

        await kit.reopened(transport)

        _, found = await read_on(kit, transport, channel, {event.id for event in series(10)})
        assert sorted(ids(found)) == sorted(event.id for event in series(10))

    # ── settle and release ───────────────────────────────────────────────────────────────────

    async def test_settling_twice_is_harmless(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(3))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.receive(subscription, 3)

        await subscription.settle(found[:2])
        await subscription.settle(found)
        await subscription.settle(found)

        assert await kit.nothing_but(transport, channel, subscription) == []

    async def test_what_is_settled_out_of_order_leaves_the_gap_unsettled(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(5))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = {delivery.event.id: delivery for delivery in await kit.receive(subscription, 5)}
        await subscription.settle([found["e4"], found["e2"], found["e0"]])
        await subscription.close()

        transport, again = await kit.read_anew(channel)

        come_again = set(await kit.nothing_but(transport, channel, again))
        if transport.capabilities.settle == "individual":
            assert come_again == {"e1", "e3"}
        else:
            assert {"e1", "e3"} <= come_again <= {"e1", "e2", "e3", "e4"}

    async def test_what_is_released_comes_again_and_the_rest_does_not(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(4))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.receive(subscription, 4)

        await subscription.release(found[1:3])

        again = await kit.receive(subscription, 2)
        assert sorted(ids(again)) == sorted(ids(found[1:3]))
        await subscription.settle([found[0], *again, found[3]])
        assert await kit.nothing_but(transport, channel, subscription) == []

    async def test_settling_after_releasing_is_harmless(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(2))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.receive(subscription, 2)

        await subscription.release(found[:1])
        await subscription.settle(found)

        # The released one may be on its way already; then it comes once more, and nothing else does.
        assert set(await kit.nothing_but(transport, channel, subscription)) <= {found[0].event.id}

    async def test_releasing_costs_nothing_however_often(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(1))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)

        for _ in range(30):
            await subscription.release(await kit.receive(subscription, 1))

        [delivery] = await kit.receive(subscription, 1)
        assert delivery.event.id == "e0"
        await subscription.settle([delivery])

    async def test_a_delay_is_honoured_or_refused(self, kit: Kit) -> None:
        transport = await kit.transport()
        delay = min(transport.capabilities.delay, 3.0)
        channel = await kit.channel(transport)
        await transport.publish(channel, series(1))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        [delivery] = await kit.receive(subscription, 1)
        if transport.capabilities.delay < float("inf"):
            with pytest.raises(Unsupported):
                await subscription.release([delivery], transport.capabilities.delay + 1)
        if not delay:
            pytest.skip("release with a delay is refused, as declared")

        begun = asyncio.get_running_loop().time()
        await subscription.release([delivery], delay)

        early = await kit.nothing_but(transport, channel, subscription)
        if asyncio.get_running_loop().time() - begun < delay:
            assert early == [], "it came before its delay was over"
        await kit.harness.advance(delay)
        if not early:  # else that look took as long as the delay, and it has come rightly
            assert ids(await kit.receive(subscription, 1)) == ["e0"]

    # ── positions ────────────────────────────────────────────────────────────────────────────

    async def test_a_message_keeps_its_position_however_often_it_is_handed_out(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        await transport.publish(channel, series(5))
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        first = await kit.receive(subscription, 5)
        await subscription.release(first)
        released = await kit.receive(subscription, 5)
        await subscription.close()

        _, again = await kit.read_anew(channel)

        positions = positions_by_id(first)
        assert len(set(positions.values())) == 5
        assert positions_by_id(released) == positions
        assert positions_by_id(await kit.receive(again, 5)) == positions

    async def test_a_message_has_the_same_position_in_every_group(self, kit: Kit) -> None:
        transport = await kit.transport()
        if not transport.capabilities.groups:
            pytest.skip("only one group, as declared (see the test of two groups)")
        channel = await kit.channel(transport, "one", "two")
        await transport.publish(channel, series(5))

        one, two = [
            positions_by_id(await kit.receive(await transport.subscribe(channel, group, EARLIEST), 5))
            for group in ("one", "two")
        ]

        assert one == two

    async def test_two_messages_with_one_event_have_two_positions(self, kit: Kit) -> None:
        transport = await kit.transport()
        if transport.capabilities.dedup is not None:
            pytest.skip("the second one is dropped, as declared")
        channel = await kit.channel(transport)
        event = numbered("e", key="k")
        await transport.publish(channel, [event, event])
        await transport.publish(channel, [event])
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)

        found = await kit.receive(subscription, 3)

        assert len({delivery.position for delivery in found}) == 3

    # ── order, and waiting ───────────────────────────────────────────────────────────────────

    async def test_order_is_kept_as_declared(self, kit: Kit) -> None:
        transport = await kit.transport()
        ordering = transport.capabilities.ordering
        if ordering == "none":
            pytest.skip("no order is declared, and none can be refused")
        channel = await kit.channel(transport)
        events = [numbered(f"{key}{n:03}", key=key) for n in range(100) for key in "abc"]
        for begin in range(0, len(events), 50):
            await transport.publish(channel, events[begin : begin + 50])

        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.taken(subscription, len(events))

        if ordering == "channel":
            assert found == [event.id for event in events]
        for key in "abc":
            assert [id for id in found if id[0] == key] == [
                event.id for event in events if event.id[0] == key
            ]

    @pytest.mark.parametrize("way", ["after a release", "from the next subscription"])
    async def test_order_is_kept_when_events_come_again(self, kit: Kit, way: str) -> None:
        transport = await kit.transport()
        if transport.capabilities.ordering == "none":
            pytest.skip("no order is declared, and none can be refused")
        channel = await kit.channel(transport)
        events = [numbered(f"{key}{n}", key=key) for n in range(5) for key in "ab"]
        await transport.publish(channel, events)
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.receive(subscription, len(events))
        unsettled = [delivery for delivery in found if delivery.event.id not in ("a0", "b0")]
        await subscription.settle([delivery for delivery in found if delivery not in unsettled])

        if way == "after a release":
            await subscription.release(unsettled)
        else:
            await subscription.close()
            subscription = await transport.subscribe(channel, SHARED, EARLIEST)

        again = ids(await kit.receive(subscription, len(unsettled)))
        for key in "ab":
            assert [id for id in again if id[0] == key] == [f"{key}{n}" for n in range(1, 5)]

    async def test_a_receive_that_waits_is_woken_by_a_publish(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        waiting = asyncio.ensure_future(kit.receive(subscription, 1))
        await asyncio.sleep(0)

        await transport.publish(channel, series(1))

        assert ids(await waiting) == ["e0"]

    async def test_an_empty_receive_ends_by_itself(self, kit: Kit) -> None:
        transport = await kit.transport()
        subscription = await transport.subscribe(await kit.channel(transport), SHARED, EARLIEST)

        async with asyncio.timeout(kit.harness.patience):
            assert len(await subscription.receive(10)) == 0

    async def test_a_channel_that_is_not_there_is_an_error(self, kit: Kit) -> None:
        transport = await kit.transport()
        absent = kit.spec().name

        with pytest.raises(TransportError):
            await transport.publish(absent, series(1))
        with pytest.raises(TransportError):
            await transport.subscribe(absent, SHARED, EARLIEST)
