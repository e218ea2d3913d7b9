"""What a subscription tells the server of its messages: each once, nothing that is still held, and no memory of the rest."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Sized
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mesh_gateway_rabbitmq.messages import encode
from mesh_gateway_rabbitmq.subscription import RabbitSubscription

from mesh_gateway.errors import ChannelGone
from mesh_gateway.testing.harness import numbered

ACK, NACK = 80, 120
frame = struct.Struct(">BHIHHQBB")


class Server:
    """The other end of the connection: knows what it has handed out. A tag that it does not know ends the channel."""

    lost = None
    held_back = False

    def __init__(self) -> None:
        self.unsettled: set[int] = set()
        self.back: set[int] = set()
        self.frames = 0

    def check(self) -> None: ...

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), frame.size):
            _, _, _, _, method, tag, bits, _ = frame.unpack_from(data, at)
            self.frames += 1
            assert tag in self.unsettled, "unknown delivery tag"
            if method == NACK:
                self.unsettled.discard(tag)
                self.back.add(tag)
            else:
                assert method == ACK
                self.unsettled -= {one for one in self.unsettled if one <= tag} if bits & 1 else {tag}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def subscription(server: Server) -> RabbitSubscription:
    async def bury(event: object) -> None: ...

    found = RabbitSubscription(
        cast("Any", server),
        "n/b",
        "queue",
        bury=bury,
        unreadable=lambda channel, why: None,
        left=lambda subscription: None,
    )
    found._channel = cast("Any", SimpleNamespace(number=1, closed=None))
    return found


def hand_out(server: Server, subscription: RabbitSubscription, tag: int) -> None:
    server.unsettled.add(tag)
    subscription._deliver(tag, False, *encode(numbered(f"e{tag}"), b"id", 0))  # noqa: FBT003  # the channel's callback


async def test_the_server_holds_exactly_what_is_held_whatever_the_order(server, subscription):
    chance = random.Random(7)
    held: list[Any] = []
    for tag in range(1, 2_000):
        hand_out(server, subscription, tag)
        held += await subscription.receive(10)
        chosen = [one for one in held if chance.random() < 0.3]
        held = [one for one in held if one not in chosen]
        given_back = [one for one in chosen if chance.random() < 0.2]
        await subscription.release(given_back)
        await subscription.settle([one for one in chosen if one not in given_back])

        assert server.unsettled == {one.token for one in held}
        assert subscription.held == len(held)


async def test_what_was_handed_out_together_is_settled_by_one_frame(server, subscription):
    for tag in range(1, 101):
        hand_out(server, subscription, tag)

    await subscription.settle(await subscription.receive(100))

    assert (server.frames, server.unsettled) == (1, set())


async def test_nothing_is_remembered_of_what_was_settled_behind_a_message_that_is_held(server, subscription):
    hand_out(server, subscription, 1)
    await subscription.receive(1)

    for tag in range(2, 3_000):
        hand_out(server, subscription, tag)
        await subscription.settle(await subscription.receive(1))

    assert subscription.held == 1
    kept = [value for value in vars(subscription).values() if isinstance(value, Sized)]
    assert max(len(value) for value in kept if not isinstance(value, str)) == 1


async def test_a_receive_that_follows_one_that_was_given_up_hears_at_once_what_comes(server, subscription):
    given_up = asyncio.ensure_future(subscription.receive(1))
    await asyncio.sleep(0)

    given_up.cancel()
    asyncio.get_running_loop().call_later(0.01, hand_out, server, subscription, 1)
    async with asyncio.timeout(0.8):  # before it would look by itself
        found = await subscription.receive(1)

    assert [one.token for one in found] == [1]


async def test_a_receive_that_waits_hears_at_once_that_the_consumer_is_over(subscription):
    asyncio.get_running_loop().call_later(0.01, subscription._cancelled)

    with pytest.raises(ChannelGone):
        async with asyncio.timeout(0.8):
            await subscription.receive(1)
