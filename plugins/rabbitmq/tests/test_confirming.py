"""What a publish says when the server closes its channel: only what is certain is called not stored."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mesh_gateway_rabbitmq.publisher import Confirming, Publisher

from mesh_gateway.errors import ChannelGone, NotPermitted, PublishError, TransportError
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
