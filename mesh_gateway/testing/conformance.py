"""The suite that every transport passes; it is the definition of `mesh_gateway.transport.contract`.

    class TestNats(TransportConformance):
        @contextlib.asynccontextmanager
        async def harness(self):
            yield Harness(make=lambda: NatsTransport(options, context))

A test about an ability that is not declared does not simply skip: it first asserts that the transport
refuses honestly (`Unsupported`, or the optional protocol is absent). Declaring less than the truth is
allowed; declaring more makes a test fail. Tests are plain coroutines; run them with anyio's pytest
plugin in `auto` mode.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesh_gateway.errors import ChannelGone, TransportError, Unsupported
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import (
    EARLIEST,
    LATEST,
    SHARED,
    Browsable,
    ChannelSpec,
    Delivery,
    Ensure,
    Measurable,
    Purpose,
    Removable,
    Start,
    Subscription,
    Transport,
)

PATIENCE = 20.0
"""Seconds until the kit gives up waiting for events that should come."""

_numbers = itertools.count()


@dataclass(slots=True)
class Harness:
    """How the kit gets at a transport."""

    make: Callable[[], Transport]
    """A new, unopened transport over the same storage each time."""
    largest_event: int = 262_144
    """Bytes of data of the largest event the kit sends; raise it to the transport's real limit."""
    opened: list[Transport] = field(default_factory=list)


def channel(**changes: object) -> ChannelSpec:
    """A channel nobody has used before."""
    return ChannelSpec("kit", f"c{next(_numbers)}", **changes)  # type: ignore[arg-type]  # fields by name


def event(id: str, data: bytes | None = b"{}", **attributes: Any) -> Event:
    return Event.new(type="kit.event", source="/kit", id=id, data=data, **attributes)


def events(count: int, prefix: str = "") -> list[Event]:
    return [event(f"{prefix}{number}") for number in range(count)]


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    """Exactly `count` deliveries, however many receives it takes."""
    found: list[Delivery] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += await subscription.receive(count - len(found))
    return found


async def nothing_more(subscription: Subscription) -> bool:
    """A receive that waits its second and finds nothing."""
    return not await subscription.receive(10)


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.event.id for delivery in deliveries]


class TransportConformance:
    """Inherit, give a `harness`, run."""

    def harness(self) -> AbstractAsyncContextManager[Harness]:
        """An asynchronous context manager that yields the `Harness` of one test."""
        raise NotImplementedError

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[Transport]:
        """An opened transport, closed afterwards."""
        async with self.harness() as harness:
            transport = harness.make()
            await transport.open()
            try:
                yield transport
            finally:
                await transport.close()

    @asynccontextmanager
    async def reading(
        self, spec: ChannelSpec, group: str = SHARED
    ) -> AsyncIterator[tuple[Transport, Subscription]]:
        """An opened transport with one subscription to a new channel."""
        async with self.transport() as transport:
            await transport.ensure(spec, Ensure.CREATE)
            subscription = await transport.subscribe(spec.name, group, EARLIEST)
            try:
                yield transport, subscription
            finally:
                await subscription.close()

    # ── messages ─────────────────────────────────────────────────────────────────────────────

    async def test_every_kind_of_attribute_comes_back(self) -> None:
        sent = Event.new(
            type="kit.event", source="/kit?a=b#c", id="ü 1", subject='50% off "now"', time="2026-01-02T03:04:05.678901234Z",
            datacontenttype="application/json; charset=utf-8", flag=True, number=-7, text="žluťoučký", data=b'{"a": 1.0e5}',
        )  # fmt: skip
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, [sent])
            (delivery,) = await take(subscription, 1)

            assert dict(delivery.event.attributes) == dict(sent.attributes)
            assert delivery.event.data == sent.data

    @pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe not utf-8 \x80", b"x" * 65_536, "limit"])
    async def test_data_comes_back_byte_for_byte(self, data: bytes | str) -> None:
        spec = channel()
        async with self.harness() as harness:
            content = b"y" * harness.largest_event if isinstance(data, str) else data
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, [event("1", content)])
            (delivery,) = await take(subscription, 1)

            assert (delivery.event.data or b"") == content

    async def test_no_data_is_not_made_into_something(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, [event("1", None)])
            (delivery,) = await take(subscription, 1)

            assert not delivery.event.data

    async def test_a_thousand_concurrent_publishes_all_arrive_once(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await asyncio.gather(*(transport.publish(spec.name, [one]) for one in events(1_000)))
            received = await take(subscription, 1_000)
            await subscription.settle(received)

            assert sorted(ids(received), key=int) == [str(number) for number in range(1_000)]

    async def test_publishing_to_a_channel_that_does_not_exist_is_an_error(self) -> None:
        async with self.transport() as transport:
            with pytest.raises(TransportError):
                await transport.publish("kit/never-made", events(1))

    # ── delivery ─────────────────────────────────────────────────────────────────────────────

    async def test_what_is_not_settled_comes_again_after_a_restart(self) -> None:
        spec = channel()
        async with self.harness() as harness:
            first = harness.make()
            await first.open()
            await first.ensure(spec, Ensure.CREATE)
            subscription = await first.subscribe(spec.name, SHARED, EARLIEST)
            await first.publish(spec.name, events(5))
            received = await take(subscription, 5)
            await subscription.settle([received[0], received[2]])
            await subscription.close()
            await first.close()
            second = harness.make()
            await second.open()
            try:
                await second.ensure(spec, Ensure.CREATE)
                again = await take(await second.subscribe(spec.name, SHARED, EARLIEST), 3)
            finally:
                await second.close()

        if second.capabilities.settle == "individual":
            assert sorted(ids(again)) == ["1", "3", "4"]
        else:
            assert {"1", "3", "4"} <= set(ids(again))

    async def test_what_is_settled_does_not_come_again(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, events(3))
            await subscription.settle(await take(subscription, 3))
            await subscription.close()
            again = await transport.subscribe(spec.name, SHARED, EARLIEST)

            assert await nothing_more(again)
            await again.close()

    async def test_nothing_is_handed_out_twice_while_it_is_held(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, events(3))
            await take(subscription, 3)

            assert await nothing_more(subscription)

    async def test_settling_twice_is_harmless(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, events(2))
            received = await take(subscription, 2)
            await subscription.settle(received[:1])
            await subscription.settle(received)
            await subscription.settle(received)

            assert await nothing_more(subscription)

    async def test_a_released_event_comes_again(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, events(2))
            received = await take(subscription, 2)
            await subscription.settle(received[1:])
            await subscription.release(received[:1])
            again = await take(subscription, 1)
            await subscription.settle(again)

            assert ids(again) == ["0"]
            assert await nothing_more(subscription)

    async def test_settling_after_a_release_is_harmless(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, events(1))
            received = await take(subscription, 1)
            await subscription.release(received)
            await subscription.settle(received)
            await transport.publish(spec.name, [event("later")])
            rest = await take(subscription, 1)

            assert ids(rest)[-1] in ("later", "0")

    async def test_two_groups_each_get_everything(self) -> None:
        spec = channel(groups=(SHARED, "second"))
        async with self.reading(spec) as (transport, one):
            if not transport.capabilities.groups:
                with pytest.raises(Unsupported):
                    await transport.subscribe(spec.name, "second", EARLIEST)
                pytest.skip("declares no groups, and refuses the second")
            two = await transport.subscribe(spec.name, "second", EARLIEST)
            await transport.publish(spec.name, events(10))

            assert len(await take(one, 10)) == len(await take(two, 10)) == 10
            await two.close()

    async def test_two_members_of_a_group_share_the_events(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, one):
            two = await transport.subscribe(spec.name, SHARED, EARLIEST)
            await transport.publish(spec.name, events(20))
            found: list[str] = []
            async with asyncio.timeout(PATIENCE):
                while len(found) < 20:
                    for member in (one, two):
                        received = await member.receive(5)
                        await member.settle(received)
                        found += ids(received)

            assert sorted(found, key=int) == [str(number) for number in range(20)]
            await two.close()

    async def test_what_a_member_held_goes_to_another_when_it_closes(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, one):
            await transport.publish(spec.name, events(3))
            await take(one, 3)
            await one.close()
            two = await transport.subscribe(spec.name, SHARED, EARLIEST)

            assert sorted(ids(await take(two, 3))) == ["0", "1", "2"]
            await two.close()

    async def test_the_order_of_publishing_is_kept_as_declared(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            sent = [event(str(n), partitionkey="k") for n in range(200)]
            for start in range(0, 200, 20):
                await transport.publish(spec.name, sent[start : start + 20])
            received = await take(subscription, 200)
            if transport.capabilities.ordering == "none":
                pytest.skip("declares no order")

            assert ids(received) == [str(n) for n in range(200)]

    # ── where a group begins ─────────────────────────────────────────────────────────────────

    async def test_a_new_group_begins_where_it_is_told(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            if not transport.capabilities.groups:
                pytest.skip("declares no groups")
            await transport.publish(spec.name, events(2, "old"))
            held = await take(subscription, 2)
            late = await transport.subscribe(spec.name, "late", LATEST)
            early = await transport.subscribe(spec.name, "early", EARLIEST)
            await transport.publish(spec.name, events(1, "new"))

            assert ids(await take(late, 1)) == ["new0"]
            assert ids(await take(early, 3)) == ["old0", "old1", "new0"]
            await subscription.settle(held)
            await late.close()
            await early.close()

    async def test_a_group_can_begin_at_a_position_if_declared(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, events(3))
            received = await take(subscription, 3)
            start = Start("position", position=received[1].position)
            if "position" not in transport.capabilities.seek:
                with pytest.raises(Unsupported):
                    await transport.subscribe(spec.name, "seeker", start)
                pytest.skip("declares no seeking by position, and refuses it")
            seeker = await transport.subscribe(spec.name, "seeker", start)

            assert ids(await take(seeker, 2)) == ["1", "2"]
            await seeker.close()

    async def test_a_group_can_begin_at_a_time_if_declared(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, events(2))
            received = await take(subscription, 2)
            start = Start("timestamp", timestamp=received[0].enqueued_at or 0.0)
            if "timestamp" not in transport.capabilities.seek:
                with pytest.raises(Unsupported):
                    await transport.subscribe(spec.name, "seeker", start)
                pytest.skip("declares no seeking by time, and refuses it")
            seeker = await transport.subscribe(spec.name, "seeker", start)

            assert ids(await take(seeker, 2)) == ["0", "1"]
            await seeker.close()

    # ── abilities ────────────────────────────────────────────────────────────────────────────

    async def test_a_release_with_a_delay_is_honoured_or_refused(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            await transport.publish(spec.name, events(1))
            received = await take(subscription, 1)
            if transport.capabilities.delay < 0.2:
                with pytest.raises(Unsupported):
                    await subscription.release(received, delay=0.2)
                pytest.skip("declares no delay, and refuses it")
            await subscription.release(received, delay=0.2)

            assert ids(await take(subscription, 1)) == ["0"]

    async def test_browsing_shows_everything_and_takes_nothing(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            if not transport.capabilities.browse:
                assert not isinstance(transport, Browsable)
                pytest.skip("declares no browsing, and has no browse")
            assert isinstance(transport, Browsable)
            await transport.publish(spec.name, events(5))
            first = await transport.browse(spec.name, after=None, limit=2)
            rest = await transport.browse(spec.name, after=first[-1].position, limit=10)

            assert [one.event.id for one in (*first, *rest)] == ["0", "1", "2", "3", "4"]
            assert len(await take(subscription, 5)) == 5

    async def test_a_removed_event_is_gone(self) -> None:
        spec = channel(purpose=Purpose.DEAD_LETTERS, groups=())
        async with self.transport() as transport:
            if not isinstance(transport, Removable) or not isinstance(transport, Browsable):
                pytest.skip("takes no single events out")
            await transport.ensure(spec, Ensure.CREATE)
            await transport.publish(spec.name, events(3))
            stored = await transport.browse(spec.name, after=None, limit=10)
            removed = await transport.remove(spec.name, [stored[1].position, stored[1].position])
            left = await transport.browse(spec.name, after=None, limit=10)

            assert removed == 1
            assert [one.event.id for one in left] == ["0", "2"]

    async def test_the_backlog_is_what_is_not_settled(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            if not transport.capabilities.measure:
                assert not isinstance(transport, Measurable)
                pytest.skip("declares no measuring, and has no backlog")
            assert isinstance(transport, Measurable)
            await transport.publish(spec.name, events(4))
            assert (await transport.backlog(spec.name, SHARED)).events == 4
            received = await take(subscription, 4)
            await subscription.settle(received[1:3])
            found = await transport.backlog(spec.name, SHARED)

            assert found.events == 2
            assert found.oldest_age is not None
            await subscription.settle(received)
            assert (await transport.backlog(spec.name, SHARED)).oldest_age is None

    # ── life ─────────────────────────────────────────────────────────────────────────────────

    async def test_ensure_is_idempotent_and_verify_makes_nothing(self) -> None:
        spec = channel()
        async with self.transport() as transport:
            with pytest.raises(ChannelGone):
                await transport.ensure(spec, Ensure.VERIFY)
            assert await transport.ensure(spec, Ensure.CREATE) == []
            assert await transport.ensure(spec, Ensure.CREATE) == []
            assert await transport.ensure(spec, Ensure.VERIFY) == []
            assert await transport.ensure(channel(), Ensure.OFF) == []

    async def test_check_says_what_works(self) -> None:
        async with self.transport() as transport:
            checks = await transport.check()

            assert checks
            assert all(check.ok and check.detail for check in checks)

    async def test_opening_and_closing_leaves_no_task_and_no_thread(self) -> None:
        async with self.harness() as harness:
            warm = harness.make()
            await warm.open()
            await warm.close()
            tasks, threads = len(asyncio.all_tasks()), threading.active_count()
            for _ in range(20):
                transport = harness.make()
                await transport.open()
                await transport.close()
                await transport.close()

            assert len(asyncio.all_tasks()) == tasks
            assert threading.active_count() == threads

    async def test_closing_while_receiving_loses_nothing(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            waiting = asyncio.ensure_future(subscription.receive(10))
            await asyncio.sleep(0)
            await subscription.close()
            received = ids(await waiting)
            await transport.publish(spec.name, events(1))
            again = await transport.subscribe(spec.name, SHARED, EARLIEST)

            assert received == []
            assert ids(await take(again, 1)) == ["0"]
            await again.close()

    async def test_cancelling_a_receive_loses_nothing(self) -> None:
        spec = channel()
        async with self.reading(spec) as (transport, subscription):
            waiting = asyncio.ensure_future(subscription.receive(10))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            await transport.publish(spec.name, events(2))

            assert ids(await take(subscription, 2)) == ["0", "1"]
