"""An event comes back exactly as it went."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

import pytest

from mesh_gateway.errors import EventTooLarge, PublishError
from mesh_gateway.event import Event
from mesh_gateway.testing.harness import Kit, numbered, series
from mesh_gateway.transport.contract import EARLIEST, LETTER_BYTES, SHARED, Transport

ALWAYS_ACCEPTED = 64 * 1024
"""An intermediary must forward events of 64 KiB (CloudEvents 1.0.2, "Size Limits")."""

ENVELOPE = 4_096
"""Room left below a declared limit for the attributes of the test's event."""


STRIDE = 16
"""Bytes between two sizes that are tried; a divisor of the envelope."""


class Messages:
    """Tests of what is carried."""

    @pytest.mark.parametrize(
        "event",
        [
            pytest.param(numbered("plain"), id="required attributes only"),
            pytest.param(
                numbered(
                    "context", subject="a/b c", time="2026-02-28T23:59:59.123456789+05:30", dataschema="u:x"
                ),
                id="all optional attributes, time in its own spelling",
            ),
            pytest.param(
                numbered("text", note="naïve ☃ 𝄞 % \" ' , ; = ?"), id="an extension of any characters"
            ),
            pytest.param(
                numbered("kinds", flag=True, off=False, low=-(2**31), high=2**31 - 1), id="typed extensions"
            ),
            pytest.param(
                numbered("digits", code="007", truth="true"), id="text that looks like another type"
            ),
            pytest.param(numbered("blank", note=""), id="an empty extension"),
            pytest.param(
                numbered("json", datacontenttype="application/json; charset=utf-8"), id="a content type"
            ),
            pytest.param(numbered("é" * 64), id="an id that is not ASCII"),
            pytest.param(numbered("old", specversion="0.3"), id="specversion 0.3"),
            pytest.param(
                numbered(
                    "traced",
                    headers={"traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "x-request-id": "7 ☃"},
                ),
                id="HTTP headers that travel beside it",
            ),
        ],
    )
    async def test_attributes_come_back_as_they_went(self, kit: Kit, event: Event) -> None:
        found = await there_and_back(kit, event)

        assert found == event
        assert (found.headers or {}) == (event.headers or {})

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(None, id="no data"),
            pytest.param(b"", id="empty data, which is not no data"),
            pytest.param(b"\xff\xfe\x00\x80\xc3\x28", id="not UTF-8"),
            pytest.param(b'{"a": 1, "a": 1.0}', id="JSON that a parser would change"),
            pytest.param(bytes(range(256)) * (ALWAYS_ACCEPTED // 256), id="64 KiB"),
        ],
    )
    async def test_data_comes_back_byte_by_byte(self, kit: Kit, data: bytes | None) -> None:
        event = numbered("data", data=data)

        back = (await there_and_back(kit, event)).data
        assert back == data
        # The compiled data path takes nothing else: not a bytearray, not a view of a buffer that somebody may write to.
        assert back is None or type(back) is bytes, f"data are bytes, not {type(back).__name__}"

    async def test_an_event_at_the_declared_limit_is_carried_and_one_beyond_it_refused(
        self, kit: Kit
    ) -> None:
        limit = kit.harness.make().capabilities.max_event_bytes
        if limit is None:
            large = text("large", 2**20)
            assert await there_and_back(kit, large) == large
            return
        assert limit >= ALWAYS_ACCEPTED, "a limit below 64 KiB breaks the rule for intermediaries"
        transport = await kit.transport()
        channel = await kit.channel(transport)
        taken = await up_to_the_limit(transport, channel, limit)
        _, subscription = await kit.read_anew(channel)
        found = await kit.receive(subscription, len(taken))
        assert {delivery.event.id: delivery.event for delivery in found} == taken
        await kit.close()
        transport = await kit.transport()
        channel = await kit.channel(transport)
        with pytest.raises(PublishError) as raised:
            await transport.publish(
                channel, [numbered("before"), text("beyond", limit + 1), numbered("behind")]
            )
        assert list(raised.value.refused) == [1], "the one that is too large is refused, and no other"
        assert isinstance(raised.value.refused[1], EventTooLarge)
        assert re.search(r"\d", str(raised.value.refused[1])), "it does not name the limit"
        assert not raised.value.failed | raised.value.unknown, "the others of its batch are harmed"
        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        assert sorted(await kit.nothing_but(transport, channel, subscription)) == ["before", "behind"]

    async def test_a_dead_letter_of_the_largest_event_is_carried(self, kit: Kit) -> None:
        transport = await kit.transport()
        limit = transport.capabilities.max_event_bytes or 2**20
        letters = await kit.dead_letters(transport)

        await up_to_the_limit(transport, letters, limit + LETTER_BYTES)

    async def test_a_thousand_concurrent_publishes_all_arrive_once(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        events = series(1_000)

        async with asyncio.TaskGroup() as tasks:
            for event in events:
                tasks.create_task(transport.publish(channel, [event]))

        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.taken(subscription, len(events))
        assert sorted(found) == sorted(event.id for event in events)

    async def test_the_largest_batch_arrives_whole(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)
        events = series(transport.capabilities.max_batch)

        await transport.publish(channel, events)

        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        found = await kit.taken(subscription, len(events))
        assert sorted(found) == sorted(event.id for event in events)

    async def test_an_empty_batch_is_nothing(self, kit: Kit) -> None:
        transport = await kit.transport()
        channel = await kit.channel(transport)

        await transport.publish(channel, [])

        subscription = await transport.subscribe(channel, SHARED, EARLIEST)
        assert await kit.nothing_but(transport, channel, subscription) == []


def text(id: str, size: int) -> Event:
    """An event of so many characters, which no binding makes longer than they are."""
    return numbered(id, data=b"x" * size, datacontenttype="text/plain")


async def there_and_back(kit: Kit, event: Event) -> Event:
    """The event as it is received, by a transport that has not seen it being published."""
    transport = await kit.transport()
    channel = await kit.channel(transport)
    await transport.publish(channel, [event])
    _, subscription = await kit.read_anew(channel)
    [delivery] = await kit.receive(subscription, 1)
    return delivery.event


async def up_to_the_limit(transport: Transport, channel: str, limit: int) -> dict[str, Event]:
    """Publish the largest event that is not refused, and what was taken on the way to it. Fails where that is far below
    the limit.

    Only the transport knows how many bytes of its own an event needs. To be refused costs nothing, so sizes come down
    to the limit: in strides, and then byte by byte.
    """
    taken: dict[str, Event] = {}

    async def first_taken(sizes: Iterable[int]) -> int:
        for size in sizes:
            event = text(f"{size:010}", size)
            try:
                await transport.publish(channel, [event])
            except PublishError as error:
                if not error.refused:
                    why = f"{size} bytes are neither taken nor refused, the declared limit is {limit}: {error!r}"
                    raise AssertionError(why) from error
            else:
                taken[event.id] = event
                return size
        return 0

    size = await first_taken(range(limit, limit - ENVELOPE - 1, -STRIDE))
    assert size, f"not even {limit - ENVELOPE} bytes are taken, the declared limit is {limit}"
    await first_taken(range(size + STRIDE - 1, size, -1))
    return taken
