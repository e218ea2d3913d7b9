"""Knative's RabbitMQ Broker: its RabbitmqBrokerConfig, read as options of the broker's channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

QUEUE_TYPE = "queueType"
VHOST = "vhost"


def broker_options(document: Mapping[str, Any]) -> dict[str, str]:
    """Options of the channels of a Broker whose `spec.config` is this document. Raises `ValueError` with a sentence.

    Which server it is (`rabbitmqClusterReference`) is the Transport's business: a cluster's name means nothing
    outside of Kubernetes.
    """
    if document.get("kind") != "RabbitmqBrokerConfig":
        raise ValueError(
            f"is a {document.get('kind')}; a broker of this class is configured by a RabbitmqBrokerConfig"
        )
    spec = document.get("spec") or {}
    if not isinstance(spec, Mapping):
        raise ValueError("spec: must be a mapping")  # noqa: TRY004
    kind = spec.get(QUEUE_TYPE, "quorum")
    if kind not in ("quorum", "classic"):
        raise ValueError(f"spec.{QUEUE_TYPE}: must be quorum or classic, not {kind!r}")
    found = {QUEUE_TYPE: str(kind)}
    if spec.get(VHOST):
        found[VHOST] = str(spec[VHOST])
    return found
