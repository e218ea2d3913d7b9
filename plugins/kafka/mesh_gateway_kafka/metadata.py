"""Asking Kafka about a topic makes none.

A broker creates a topic that somebody asks about (`auto.create.topics.enable`, on by Kafka's default), with one replica as
a rule, unless the question says that it should not. aiokafka's questions never say so, and none of its clients has a setting
for it: `ensure: verify` would make what it looks for, and a topic that was deleted would come back empty. So the request that
they make is replaced here by one that says no. The range of versions in pyproject is narrow for the sake of this, too.
"""

from __future__ import annotations

import aiokafka.admin.client
import aiokafka.client
from aiokafka.protocol.metadata import MetadataRequest


class Question(MetadataRequest):  # type: ignore[misc]  # aiokafka has no types
    """The request for metadata, as a question and nothing more."""

    def __init__(self, topics: list[str] | None = None, *, allow_auto_topic_creation: bool = False) -> None:
        super().__init__(topics, allow_auto_topic_creation)


def only_ask() -> None:
    """Let the clients of this process ask without creating. Harmless when called again."""
    for module in (aiokafka.client, aiokafka.admin.client):
        module.MetadataRequest = Question
