"""What `lint --connect` wants to know of the channels that a transport has: are they there, may we write and read.

All of it is asked without an effect: a passive declaration, and the removal of a binding that nobody has ever made, for
which the server wants to see the permission to write to the queue and to read from the exchange. Permissions are patterns
of names, and a shared queue has its exchange's name: who may do that may publish and consume.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from pamqp import commands

from mesh_gateway.errors import NotPermitted, TransportError
from mesh_gateway.transport.contract import Check, Level
from mesh_gateway_rabbitmq import topology
from mesh_gateway_rabbitmq.link import Channel, Link

CHECK_SECONDS = 4.0
"""For all of them; the contract gives a check about five seconds."""

AT_ONCE = 16
"""Questions under way: a far server is asked about hundreds of channels in time, and a small one is not flooded."""

NEVER_MADE = "mesh-gateway check"
"""The routing key of a binding that does not exist."""


async def checks(link: Link, known: Mapping[str, Sequence[str]]) -> list[Check]:
    """Findings about the exchanges, each with its queues; raises nothing."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(exchange: str, queues: Sequence[str]) -> list[Check]:
        async with turns:
            return await _channel(link, exchange, queues)

    try:
        async with asyncio.timeout(CHECK_SECONDS):
            found = await asyncio.gather(*(one(exchange, queues) for exchange, queues in known.items()))
    except TimeoutError:
        late = f"{len(known)} exchanges were not looked at within {CHECK_SECONDS:g} s"
        return [Check("rabbitmq", Level.CONNECT, ok=False, detail=late, hint="look at the server's load")]
    return [check for checks in found for check in checks]


async def _channel(link: Link, exchange: str, queues: Sequence[str]) -> list[Check]:
    async def is_there(channel: Channel) -> None:
        passive = commands.Exchange.Declare(exchange=exchange, passive=True, arguments={})
        await channel.call(passive, commands.Exchange.DeclareOk, f"look at exchange {exchange}")
        for queue in queues:
            look = commands.Queue.Declare(queue=queue, passive=True, arguments={})
            await channel.call(look, commands.Queue.DeclareOk, f"look at queue {queue}")

    async def may_be_used(channel: Channel) -> None:
        for queue in queues:
            unbind = commands.Queue.Unbind(
                queue=queue, exchange=exchange, routing_key=NEVER_MADE, arguments={}
            )
            doing = f"write to {queue} and read from {exchange}"
            await channel.call(unbind, commands.Queue.UnbindOk, doing)

    count = f"the exchange and {len(queues)} of its queues"
    found: list[Check] = []
    try:
        await topology.on_a_channel(link, is_there)
        found.append(Check(exchange, Level.TOPOLOGY, ok=True, detail=f"{count} are there"))
        await topology.on_a_channel(link, may_be_used)
        found.append(Check(exchange, Level.PERMISSION, ok=True, detail=f"we may write and read {count}"))
    except NotPermitted as error:
        hint = "rabbitmqctl set_permissions: write and read have to match this name"
        found.append(Check(exchange, Level.PERMISSION, ok=False, detail=str(error), hint=hint))
    except TransportError as error:
        hint = "make it, or let ensure be create"
        found.append(Check(exchange, Level.TOPOLOGY, ok=False, detail=str(error), hint=hint))
    return found
