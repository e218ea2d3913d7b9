"""What a channel's topic and its groups are called."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mesh_gateway.transport.contract import OPERATORS, SHARED, Purpose

LONGEST_TOPIC = 249
"""Characters of a topic's name, by Kafka's own rule."""

_ALLOWED = re.compile(r"[A-Za-z0-9._-]+\Z").match


@dataclass(frozen=True, slots=True)
class Names:
    """Templates of `options.py`, filled in."""

    topic_template: str
    group_template: str

    def topic(self, channel: str) -> str:
        """The topic of a channel that has no topic of its own named. Raises `ValueError` with a sentence."""
        namespace, broker, purpose, trigger = parts(channel)
        name = self.topic_template.format(namespace=namespace, broker=broker) + _suffix(purpose, trigger)
        if len(name) > LONGEST_TOPIC or not _ALLOWED(name):
            raise ValueError(
                f"{name} is no name of a Kafka topic (at most {LONGEST_TOPIC} of a-z A-Z 0-9 . _ -): choose a shorter "
                "name for the Broker or the Trigger, or another template in the option `topic`"
            )
        return name

    def group(self, channel: str, group: str) -> str:
        """The consumer group that reads the channel as `group`."""
        namespace, broker, purpose, trigger = parts(channel)
        name = self.group_template.format(namespace=namespace, broker=broker) + _suffix(purpose, trigger)
        if group == SHARED:
            return name
        return f"{name}.{group}" if group == OPERATORS else f"{name}.trigger.{group}"


def parts(channel: str) -> tuple[str, str, Purpose, str]:
    """Namespace, broker, purpose and trigger of a channel's name."""
    namespace, _, rest = channel.partition("/")
    broker, _, tail = rest.partition(":")
    purpose, _, trigger = tail.partition(":")
    return namespace, broker, Purpose(purpose) if purpose else Purpose.EVENTS, trigger


def _suffix(purpose: Purpose, trigger: str) -> str:
    if purpose is Purpose.EVENTS:
        return ""
    return ".dead-letters" if purpose is Purpose.DEAD_LETTERS else f".parked.{trigger}"
