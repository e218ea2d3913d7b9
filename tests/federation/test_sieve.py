"""Second copies of relayed events, found when they are read: each group is given one, and none is passed over for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from mesh_gateway.event import Event
from mesh_gateway.federation.sieve import Sieve
from mesh_gateway.testing.harness import numbered
from mesh_gateway.transport.contract import ChannelSpec, Delivery, Ensure, Subscription, TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport

pytestmark = pytest.mark.anyio

SPEC = ChannelSpec("shop", "orders", groups=())


class Scripted:
    """A subscription that hands out what it is told to."""

    def __init__(self) -> None:
        self.next: list[Delivery] = []
        self.settled: list[str] = []
        self.released: list[str] = []

    async def receive(self, limit: int) -> Sequence[Delivery]:
        found, self.next = self.next, []
        return found

    async def settle(self, done: Sequence[Delivery]) -> None:
        self.settled += [one.position for one in done]

    async def release(self, back: Sequence[Delivery], delay: float | None = None) -> None:
        self.released += [one.position for one in back]

    async def close(self) -> None:
        return


class Reading:
    """One group's subscription, with a sieve."""

    def __init__(self, sieve: Sieve, group: str = "shared") -> None:
        self.sieve = sieve
        self.inner = Scripted()
        self.subscription: Subscription = sieve.sifted(self.inner, group)

    async def given(self, *deliveries: Delivery) -> list[str]:
        """The positions of those that get through."""
        self.inner.next = list(deliveries)
        self.latest = await self.subscription.receive(100)
        return [one.position for one in self.latest]

    async def ended(self) -> None:
        """What was given last has come to its end."""
        await self.subscription.settle(self.latest)


def relayed(id: str = "e") -> Event:
    return numbered(id, meshvia="eu/shop/orders")


def copy(position: str, event: Event | None = None) -> Delivery:
    return Delivery(event or relayed(), None, position)


@pytest.fixture
async def sieve(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Reading]]]:
    """Makes readings by the sieve of a process, `process` after `process`; each name has a memory of its own."""
    opened: dict[str, EmbeddedTransport] = {}

    async def make(process: str = "one", group: str = "shared") -> Reading:
        if process not in opened:
            transport = opened[process] = EmbeddedTransport(
                EmbeddedOptions(), TransportContext("relay-memory", tmp_path / process)
            )
            await transport.open()
            await transport.ensure(SPEC, Ensure.CREATE)
        up = asyncio.Event()
        up.set()
        return Reading(Sieve(opened[process], SPEC.name, up), group)

    yield make
    for transport in opened.values():
        await transport.close()


async def test_what_came_by_no_relay_is_given_as_often_as_it_comes(sieve):
    reading = await sieve()
    event = numbered("e")

    assert await reading.given(copy("1", event), copy("2", event)) == ["1", "2"]


async def test_a_second_copy_waits_for_the_end_of_the_first_and_is_settled_with_it(sieve):
    reading = await sieve()

    assert await reading.given(copy("1"), copy("2"), copy("3", relayed("another"))) == ["1", "3"]
    first = reading.latest
    assert await reading.given(copy("4")) == []
    assert reading.inner.settled == []
    await reading.subscription.settle(first)

    assert reading.inner.settled == ["1", "3", "2", "4"]
    assert reading.sieve.duplicates == 2


async def test_a_copy_of_what_has_ended_is_settled_and_not_given_also_after_a_restart(sieve):
    before = await sieve()
    await before.given(copy("1"))
    await before.ended()
    reading = await sieve()  # whose sieve and subscription know nothing but what is stored

    assert await reading.given(copy("2")) == []
    assert reading.inner.settled == ["2"]


async def test_what_has_not_ended_is_given_again_whichever_copy_comes_first(sieve):
    before = await sieve()
    assert await before.given(copy("1"), copy("2")) == ["1"]
    reading = await sieve()

    assert await reading.given(copy("2"), copy("1")) == ["2"]
    await reading.ended()

    assert reading.inner.settled == ["2", "1"]


async def test_the_copy_that_has_ended_is_given_again_when_its_group_is_set_back(sieve):
    before = await sieve()
    await before.given(copy("1"), copy("2"))
    await before.ended()
    reading = await sieve()

    assert await reading.given(copy("2"), copy("1")) == ["1"]


async def test_each_group_is_given_one(sieve):
    shared = await sieve()
    await shared.given(copy("1"))
    await shared.ended()
    own = await sieve(group="audit")

    assert await own.given(copy("2"), copy("1")) == ["2"]


async def test_two_processes_that_swap_their_copies_do_not_both_pass_them_over(sieve):
    one, two = await sieve("one"), await sieve("two")
    assert await one.given(copy("1")) == ["1"]
    assert await two.given(copy("2")) == ["2"]
    one, two = await sieve("one"), await sieve("two")  # both are killed, and the group shares out anew

    assert await one.given(copy("2")) == ["2"]
    assert await two.given(copy("1")) == ["1"]


async def test_what_waits_for_a_copy_goes_back_with_it(sieve):
    reading = await sieve()
    await reading.given(copy("1"), copy("2"))
    await reading.subscription.release(reading.latest)

    assert reading.inner.released == ["1", "2"]
    assert await reading.given(copy("2"), copy("1")) == ["2"]


async def test_what_comes_again_while_it_is_in_hand_is_not_given_twice(sieve):
    reading = await sieve()
    await reading.given(copy("1"))
    first = reading.latest

    assert await reading.given(copy("1")) == []
    await reading.subscription.settle(first)

    assert reading.inner.settled == ["1", "1"]
    assert await reading.given(copy("2")) == []
