"""Queues: made, found, and what in their settings would lose events told as `Drift`."""

from __future__ import annotations

from typing import Any

from mesh_gateway.errors import ChannelGone
from mesh_gateway.transport.contract import Drift
from mesh_gateway_sqs import api
from mesh_gateway_sqs.client import Sqs
from mesh_gateway_sqs.options import SqsOptions


async def url(sqs: Sqs, name: str) -> str:
    """Where the queue is. Raises `ChannelGone`, `TransportError`."""
    return str((await sqs.call("GetQueueUrl", {"QueueName": name}, api.document))["QueueUrl"])


async def create(sqs: Sqs, name: str, options: SqsOptions) -> str:
    """Make the queue unless it is there; where it is. Raises `TransportError`."""
    try:
        return await url(sqs, name)
    except ChannelGone:
        answer = await sqs.call(
            "CreateQueue", {"QueueName": name, "Attributes": wanted(options)}, api.document
        )
        return str(answer["QueueUrl"])


def wanted(options: SqsOptions) -> dict[str, str]:
    """Settings of a queue that is created."""
    found = {
        "VisibilityTimeout": str(round(options.visibility_timeout)),
        "MessageRetentionPeriod": str(round(options.retention)),
    }
    return found | {"FifoQueue": "true"} if options.fifo else found


async def attributes(sqs: Sqs, queue: str) -> dict[str, Any]:
    """All settings and counts of the queue. Raises `TransportError`."""
    answer = await sqs.call(
        "GetQueueAttributes", {"QueueUrl": queue, "AttributeNames": ["All"]}, api.document
    )
    return dict(answer.get("Attributes") or {})


async def drift(sqs: Sqs, channel: str, queue: str, options: SqsOptions) -> list[Drift]:
    """How the queue differs from its document, and what in it would lose events."""
    found = await attributes(sqs, queue)
    drifts: list[Drift] = []

    def differs(what: str, wants: str, hint: str) -> None:
        has = found.get(what)
        if has is not None and str(has) != wants:
            drifts.append(Drift(channel, f"{what} of queue {queue}", wants, str(has), hint))

    differs(
        "MessageRetentionPeriod", str(round(options.retention)), "SQS deletes what is older, settled or not"
    )
    if "RedrivePolicy" in found:
        hint = (
            "it takes events away from us after so many receives; remove it: dead letters are ours to write"
        )
        drifts.append(
            Drift(channel, f"RedrivePolicy of queue {queue}", "none", str(found["RedrivePolicy"]), hint)
        )
    largest = found.get("MaximumMessageSize")
    if largest is not None and int(largest) < options.max_message_bytes:
        differs(
            "MaximumMessageSize",
            str(options.max_message_bytes),
            "lower the option maxMessageBytes, or raise it there",
        )
    return drifts


async def waiting(sqs: Sqs, queue: str) -> int:
    """Messages in the queue, those in flight and delayed included; approximate, as SQS says. Raises `TransportError`."""
    found = await attributes(sqs, queue)
    names = (
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    )
    return sum(int(found.get(name, 0)) for name in names)
