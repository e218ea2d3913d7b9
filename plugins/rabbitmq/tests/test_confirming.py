"""What a publish says when the server closes its channel: only what is certain is called not stored."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mesh_gateway_rabbitmq.publisher import Confirming, Publisher

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted, PublishError, TransportError
from mesh_gateway.testing.harness import series

LIMIT = 1_000_000


@pytest.fixture
def channel() -> Any:
    """A channel in confirm mode whose server says what the test says."""
    link = SimpleNamespace(frame_max=131_072, write=lambda data: None, check_writable=lambda: None)
    return SimpleNamespace(number=1, closed=None, check=lambda: None, link=link)


@pytest.fixture
def publisher(channel: Any) -> Publisher:
    found = Publisher(cast("Any", channel.link), deadline=20)
    found._confirming = Confirming(channel)
    return found


async def begun(publisher: Publisher, exchange: str, count: int) -> asyncio.Future[None]:
    publishing = asyncio.ensure_future(publisher.publish(exchange, series(count), LIMIT))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return publishing


@pytest.mark.parametrize("kind", [ChannelGone, NotPermitted])
async def test_an_exchange_that_goes_in_the_middle_of_a_batch_leaves_unknown_what_has_no_confirm(
    channel, publisher, kind
):
    publishing = await begun(publisher, "x", 3)
    channel.on_confirm(1, False, True)  # noqa: FBT003  # the channel's callback

    channel.on_closed(kind("no exchange 'x'"))

    with pytest.raises(PublishError, match="no exchange 'x'") as raised:
        await publishing
    assert (raised.value.failed, raised.value.unknown) == (frozenset(), {1, 2})


async def test_an_exchange_that_goes_leaves_unknown_both_of_two_publishes_to_it(channel, publisher):
    both = [await begun(publisher, "x", 1), await begun(publisher, "x", 1)]

    channel.on_closed(ChannelGone("no exchange 'x'"))

    for outcome in await asyncio.gather(*both, return_exceptions=True):
        assert isinstance(outcome, PublishError), "the first may have been stored before"
        assert outcome.unknown == {0}


@pytest.mark.parametrize("kind", [ChannelGone, NotPermitted])
async def test_an_only_event_for_an_exchange_that_is_gone_is_not_stored(channel, publisher, kind):
    settled = await begun(publisher, "x", 1)
    channel.on_confirm(1, False, True)  # noqa: FBT003
    await settled
    publishing = await begun(publisher, "x", 1)
    beside = await begun(publisher, "other", 2)

    channel.on_closed(kind("no exchange 'x'"))

    with pytest.raises(TransportError) as raised:
        await publishing
    assert type(raised.value) is kind
    with pytest.raises(PublishError):
        await beside


@pytest.mark.parametrize("seed", range(20))
async def test_every_message_gets_its_own_verdict_whatever_the_order_and_the_grouping_of_confirms(
    channel, publisher, seed
):
    chance = random.Random(seed)
    counts = [chance.randrange(1, 9) for _ in range(6)]
    publishing = [await begun(publisher, "x", count) for count in counts]
    owner = [(which, index) for which, count in enumerate(counts) for index in range(count)]
    open = set(range(1, len(owner) + 1))
    refused: dict[int, set[int]] = {which: set() for which in range(len(counts))}

    while open:
        tag, multiple, good = chance.choice(sorted(open)), chance.random() < 0.3, chance.random() < 0.8
        told = {one for one in open if one <= tag} if multiple else {tag}
        open -= told
        if not good:
            for one in told:
                which, index = owner[one - 1]
                refused[which].add(index)
        channel.on_confirm(tag, multiple, good)

    for which, outcome in enumerate(await asyncio.gather(*publishing, return_exceptions=True)):
        failed = outcome.failed if isinstance(outcome, PublishError) else set()
        assert failed == refused[which]


async def test_what_the_server_has_not_spoken_about_is_unknown_when_the_channel_ends(channel, publisher):
    publishing = [await begun(publisher, "x", 4), await begun(publisher, "x", 3)]
    channel.on_confirm(2, True, True)  # noqa: FBT003  # multiple
    channel.on_confirm(6, False, False)  # noqa: FBT003

    channel.on_closed(ConnectionLost("gone"))

    verdicts = await asyncio.gather(*publishing, return_exceptions=True)
    assert [(set(one.failed), set(one.unknown)) for one in verdicts if isinstance(one, PublishError)] == [
        (set(), {2, 3}),
        ({1}, {0, 2}),
    ]
