"""Knative's and Kubernetes' side of documents: lists, groups, and what is there but means nothing here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mesh_gateway.topology.documents import EVENTING, MODELS, OURS
from mesh_gateway.topology.faults import Faults, Path, meant
from mesh_gateway.topology.nodes import Document

CLASS = "eventing.knative.dev/broker.class"
DEFAULT_CLASS = "MTChannelBasedBroker"
"""What every Broker of an installation without another default carries; here it means the default transport."""
KAFKA_ORDER = "kafka.eventing.knative.dev/delivery.order"
RABBITMQ_PARALLELISM = "rabbitmq.eventing.knative.dev/parallelism"

SERVICES = frozenset({("v1", "Service"), ("serving.knative.dev/v1", "Service")})
"""Kinds of which only the name matters, and not even that it is in the files."""

LOOKED_UP = frozenset(
    {("v1", "ConfigMap"), ("v1", "Secret"), ("eventing.knative.dev/v1alpha1", "RabbitmqBrokerConfig")}
)
"""Kinds that other documents refer to; nothing runs because of them."""

UNHEEDED: Mapping[str, str] = {
    "kafka.eventing.knative.dev/external.topic": "only a Broker on a Kafka transport has a topic",
    "rabbitmq.eventing.knative.dev/cpu-request": "there is no process of its own",
    "rabbitmq.eventing.knative.dev/cpu-limit": "there is no process of its own",
    "rabbitmq.eventing.knative.dev/memory-request": "there is no process of its own",
    "rabbitmq.eventing.knative.dev/memory-limit": "there is no process of its own",
    "knative.dev/dependency": "the trigger does not wait for another object",
    "eventing.knative.dev/injection": "no Broker is made by itself; add a document",
}
"""Annotations that change something in Knative and nothing here."""


def expanded(document: Document) -> Iterator[Document]:
    """The items of a `List` as documents of their own (`kubectl get … -o yaml`); anything else as it is."""
    value = document.value
    if not isinstance(value, dict) or value.get("apiVersion") != "v1" or value.get("kind") != "List":
        yield document
        return
    items = value.get("items")
    for i, item in enumerate(items if isinstance(items, list) else []):
        yield from expanded(document.item(("items", i), item))


def skip(document: Document, api_version: str, kind: str, faults: Faults) -> None:
    """Say what becomes of a document that nobody here serves."""
    path: Path = ("kind",)
    group = api_version.rpartition("/")[0]
    if group == "mesh-gateway.dev":
        if api_version != OURS:
            faults.on(document, "MG014", ("apiVersion",), f"{api_version} is not known; write {OURS}")
            return
        kinds = [name for version, name in MODELS if version == OURS]
        hint = meant(kind, kinds) or f"; there are: {', '.join(kinds)}"
        faults.on(document, "MG014", path, f"unknown kind {kind!r}{hint}")
    elif group == "knative.dev" or group.endswith(".knative.dev"):
        kinds = [name for version, name in MODELS if version == EVENTING]
        hint = f"; write {EVENTING}" if kind in kinds else meant(kind, kinds)
        faults.on(document, "MG201", path, f"kind {kind!r} of {api_version} is not served here{hint}")
    else:
        hint = next((f"; did you mean {version}?" for version, name in MODELS if name == kind), "")
        faults.on(document, "MG202", path, f"kind {kind!r} of {api_version} is skipped{hint}")
