"""Exchanges and queues: made, looked at, and what differs told as `Drift`. Each question has a channel of its own,
because the server closes the channel of one that fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pamqp import commands

from mesh_gateway.errors import ChannelGone, ConnectionLost, NotPermitted
from mesh_gateway.transport.contract import Drift
from mesh_gateway_rabbitmq.faults import Inequivalent
from mesh_gateway_rabbitmq.link import Channel, Link

QUORUM: Mapping[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": -1}
"""Replicated, synced to disk before the confirm. No limit of deliveries: RabbitMQ 4 would drop a message after the
twentieth crash of whoever held it."""

STREAM: Mapping[str, Any] = {"x-queue-type": "stream"}
"""For dead letters: read without being taken out."""

Result = TypeVar("Result")


async def on_a_channel(link: Link, work: Callable[[Channel], Awaitable[Result]]) -> Result:
    """`work` with a channel of its own, closed afterwards."""
    channel = await link.channel()
    try:
        return await work(channel)
    except asyncio.CancelledError:
        channel.discard(ConnectionLost("the question was given up"))
        raise
    finally:
        await channel.close()


async def declare_exchange(link: Link, name: str, *, passive: bool) -> None:
    """Make the exchange, or see that it is there. Raises `ChannelGone`, `Inequivalent`, `TransportError`."""
    method = commands.Exchange.Declare(
        exchange=name, exchange_type="fanout", durable=True, passive=passive, arguments={}
    )
    doing = f"{'look at' if passive else 'declare'} exchange {name}"

    async def declare(channel: Channel) -> None:
        await channel.call(method, commands.Exchange.DeclareOk, doing)

    await on_a_channel(link, declare)


async def declare_queue(link: Link, name: str, arguments: Mapping[str, Any]) -> None:
    """Make the queue unless it is there as it should be. Raises `Inequivalent`, `TransportError`."""

    async def declare(channel: Channel) -> None:
        method = commands.Queue.Declare(queue=name, durable=True, arguments=dict(arguments))
        await channel.call(method, commands.Queue.DeclareOk, f"declare queue {name}")

    await on_a_channel(link, declare)


async def messages_in(link: Link, name: str) -> int:
    """Messages that wait in the queue, without those that some consumer holds. Raises `ChannelGone`."""

    async def look(channel: Channel) -> int:
        method = commands.Queue.Declare(queue=name, passive=True, arguments={})
        found = await channel.call(method, commands.Queue.DeclareOk, f"look at queue {name}")
        return found.message_count or 0

    return await on_a_channel(link, look)


async def bind(link: Link, queue: str, exchange: str) -> None:
    """Let the exchange copy into the queue. Raises `TransportError`."""

    async def work(channel: Channel) -> None:
        method = commands.Queue.Bind(queue=queue, exchange=exchange, routing_key="", arguments={})
        await channel.call(method, commands.Queue.BindOk, f"bind queue {queue} to exchange {exchange}")

    await on_a_channel(link, work)


async def exists(link: Link, queue: str) -> bool:
    """Whether there is such a queue."""
    try:
        await messages_in(link, queue)
    except ChannelGone:
        return False
    return True


async def queue_drift(link: Link, channel: str, name: str, arguments: Mapping[str, Any]) -> list[Drift]:
    """How an existing queue differs from what it should be; nothing where we may not ask (configure)."""
    try:
        await declare_queue(link, name, arguments)
    except Inequivalent as error:
        return [_drift(channel, f"queue {name}", arguments, error)]
    except NotPermitted:
        return []
    return []


def _drift(channel: str, what: str, arguments: Mapping[str, Any], error: Inequivalent) -> Drift:
    wanted = ", ".join(f"{name}: {value}" for name, value in arguments.items())
    hint = "move its messages to a new queue (shovel), delete it, and let ensure be create"
    return Drift(channel, what, wanted or "as declared", str(error), hint)
