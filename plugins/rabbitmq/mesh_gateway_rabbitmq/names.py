"""What a channel's exchange and its queues are called."""

from __future__ import annotations

from dataclasses import dataclass

from mesh_gateway.transport.contract import SHARED, Purpose

LONGEST = 255
"""Bytes of a name, by AMQP's own rule."""


@dataclass(frozen=True, slots=True)
class Names:
    """`prefix` and the channel's own name."""

    prefix: str

    def exchange(self, channel: str) -> str:
        """The exchange that a channel is published to. Raises `ValueError` with a sentence."""
        return _short(f"{self.prefix}.{_dotted(channel)}")

    def queue(self, channel: str, group: str) -> str:
        """The queue that the channel's group reads. Raises `ValueError` with a sentence."""
        own = self.exchange(channel)
        return own if group == SHARED else _short(f"{own}.{group}")


def purpose(channel: str) -> Purpose:
    """What a channel is for, out of its name."""
    _, _, tail = channel.partition(":")
    word = tail.partition(":")[0]
    return Purpose(word) if word else Purpose.EVENTS


def _dotted(channel: str) -> str:
    # A colon stands in no name of a Broker or Trigger, so two channels never share a queue.
    return channel.replace("/", ".")


def _short(name: str) -> str:
    if len(name.encode()) > LONGEST:
        raise ValueError(
            f"{name} is longer than the {LONGEST} bytes of a name in RabbitMQ; choose shorter names"
        )
    return name
