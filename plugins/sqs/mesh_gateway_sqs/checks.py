"""What `lint --connect` wants to know of the queues that a transport has, as far as SQS tells it without an effect.

Whether we may send, receive and delete it says only to who does it; `GetQueueUrl` and `GetQueueAttributes` are allowed by the
same statement of the policy that we ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mesh_gateway.errors import ChannelGone, NotPermitted, TransportError
from mesh_gateway.transport.contract import Check, Level
from mesh_gateway_sqs import queues
from mesh_gateway_sqs.client import Sqs

CHECK_SECONDS = 4.0
"""For all of them; the contract gives a check about five seconds."""

AT_ONCE = 16
"""Questions under way: SQS throttles whoever asks more than some hundred a second for attributes."""


async def checks(sqs: Sqs, known: Sequence[str]) -> list[Check]:
    """A finding for each queue; raises nothing."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> Check:
        async with turns:
            return await _queue(sqs, name)

    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await asyncio.gather(*map(one, known))
    except TimeoutError:
        late = f"{len(known)} queues were not looked at within {CHECK_SECONDS:g} s"
        return [Check("sqs", Level.CONNECT, ok=False, detail=late, hint="look at region and endpoint")]


async def _queue(sqs: Sqs, name: str) -> Check:
    try:
        found = await queues.attributes(sqs, await queues.url(sqs, name))
    except NotPermitted as error:
        hint = "let the policy allow sqs:GetQueueUrl and sqs:GetQueueAttributes on this queue"
        return Check(name, Level.PERMISSION, ok=False, detail=str(error), hint=hint)
    except ChannelGone:
        hint = "create it, or let ensure be create"
        return Check(name, Level.TOPOLOGY, ok=False, detail="the queue does not exist", hint=hint)
    except TransportError as error:
        return Check(name, Level.CONNECT, ok=False, detail=str(error), hint="look at region and endpoint")
    waiting = found.get("ApproximateNumberOfMessages", "an unknown number of")
    return Check(name, Level.TOPOLOGY, ok=True, detail=f"is there, about {waiting} messages wait")
