"""Knative's Kafka Broker: its ConfigMap and annotations, read as options of the broker's channels.

The keys are those of the `kafka-broker-config` ConfigMap that Knative's documentation describes. They are kept
under their own names in `ChannelSpec.options`, so that a message about one of them names what stands in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SERVERS = "bootstrap.servers"
PARTITIONS = "default.topic.partitions"
REPLICATION = "default.topic.replication.factor"
CONFIG = "default.topic.config."
SECRET = "auth.secret.ref.name"  # noqa: S105  # the key's name in Knative's ConfigMap
VALUE = "secret."
"""Before the name of each value of that Secret, when it comes as an option."""
TOPIC = "external.topic"
"""What the annotation kafka.eventing.knative.dev/external.topic becomes (see `plugin.py`)."""


def broker_options(document: Mapping[str, Any]) -> dict[str, str]:
    """Options of the channels of a Broker whose `spec.config` is this ConfigMap. Raises `ValueError` with a sentence."""
    data = document.get("data")
    if not isinstance(data, Mapping):
        raise ValueError("has no data; Knative's Kafka Broker needs bootstrap.servers in it")  # noqa: TRY004
    found: dict[str, str] = {}
    for key, value in data.items():
        if key in (SERVERS, PARTITIONS, REPLICATION, SECRET) or key.startswith(CONFIG):
            found[key] = str(value).strip()
    for key in (PARTITIONS, REPLICATION):
        if key in found and not (found[key].isdecimal() and int(found[key]) > 0):
            raise ValueError(f"data.{key}: must be a whole number above 0, not {found[key]!r}")
    return found


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """What the options of a channel say about its topic; None where they say nothing."""

    servers: tuple[str, ...] = ()
    topic: str | None = None
    partitions: int | None = None
    replication: int | None = None
    config: tuple[tuple[str, str], ...] = ()
    secret: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def read(options: tuple[tuple[str, str], ...]) -> BrokerOptions:
    """`ChannelSpec.options` of a Broker of Knative's class."""
    given = dict(options)
    config = tuple((key.removeprefix(CONFIG), value) for key, value in options if key.startswith(CONFIG))
    return BrokerOptions(
        servers=tuple(word.strip() for word in given.get(SERVERS, "").split(",") if word.strip()),
        topic=given.get(TOPIC) or None,
        partitions=int(given[PARTITIONS]) if PARTITIONS in given else None,
        replication=int(given[REPLICATION]) if REPLICATION in given else None,
        config=config,
        secret=tuple((key.removeprefix(VALUE), text) for key, text in options if key.startswith(VALUE)),
    )
