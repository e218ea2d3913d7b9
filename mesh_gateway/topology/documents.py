"""Every kind of document as a model of its `spec`, each field described.

The reference page and the JSON Schema come from these descriptions. Names are camelCase in documents.
What a model cannot say about itself (unknown fields, null = absent) is in `fields.py`; defaults that
come from elsewhere (delivery, namespaces) are filled in where specs are made.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mesh_gateway.topology.parts import (
    Auth,
    Certificates,
    Delivery,
    Destination,
    KeyPair,
    Model,
    Reference,
    SecretValue,
)
from mesh_gateway.topology.spec import RELAY_DELIVERY, StartSpec
from mesh_gateway.topology.values import (
    Bytes,
    Count,
    Flag,
    Headers,
    Label,
    Listen,
    Nonempty,
    PositiveNumber,
    PositiveSeconds,
    Seconds,
    Start,
    Whole,
    wrong,
)

EVENTING = "eventing.knative.dev/v1"
OURS = "mesh-gateway.dev/v1alpha1"


SMALLEST_EVENT_LIMIT = 65_536
"""Bytes that every intermediary must forward (CloudEvents 1.0.2, section 5)."""


# Knative's documents


class FilterAttributes(Model):
    """Knative's first filter: every attribute must have exactly this value; `""` = any that is not empty."""

    attributes: dict[str, str] = Field(default={}, description="Attribute name -> value.")


class Broker(Model):
    """A name with a URL that takes events, and the channel that keeps them."""

    config: Reference | None = Field(
        default=None,
        description="A Transport, or the configuration document that the broker class's plugin reads "
        "(a ConfigMap for Kafka, a RabbitmqBrokerConfig for RabbitMQ).",
    )
    delivery: Delivery | None = Field(
        default=None, description="For its Triggers without a `delivery`; default: that of the Gateway."
    )


class Trigger(Model):
    """Which events of a Broker go to which subscriber."""

    broker: str | None = Field(default=None, description="Name of the Broker, in the Trigger's namespace.")
    broker_ref: Reference | None = Field(
        default=None, description="The Broker, also in another namespace; instead of `broker`."
    )
    filter: FilterAttributes | None = Field(
        default=None, description="Exact values of attributes; counts only without `filters`."
    )
    filters: list[Any] = Field(
        default=[],
        description="Entries must all match; each has one dialect: `exact`, `prefix`, `suffix` (attribute -> value), "
        "`all`, `any` (lists of entries), `not` (an entry), `cesql` (an expression).",
    )
    subscriber: Destination = Field(description="Where matching events go.")
    delivery: Delivery | None = Field(
        default=None, description="Replaces the Broker's `delivery` as a whole."
    )


# Documents of our own


class ServerTLS(KeyPair):
    """Certificate and key of the listener, and whose client certificates it believes."""

    client_ca_certs: Certificates | None = Field(
        default=None,
        description="Authorities of client certificates: a client may present one, and peers are known by it; "
        "default: nobody is asked for one.",
    )


class Ingress(Model):
    """The listener for events, and its limits."""

    listen: Listen | None = Field(default=None, description="`HOST:PORT`; default 127.0.0.1:8080.")
    url: str | None = Field(
        default=None,
        description="How others reach it, an http or https base URL; default: as it listens. "
        "By this `lint` sees which gateway a Relay leads to.",
    )
    tls: ServerTLS | None = Field(default=None, description="Certificate and key; default: plain HTTP.")
    max_event_bytes: Annotated[Whole, Field(ge=SMALLEST_EVENT_LIMIT, le=2**40)] | None = Field(
        default=None, description="Largest event (HTTP body); at least 65536, default 1048576."
    )
    max_batch_events: Count | None = Field(default=None, description="Most events in a batch; default 1000.")
    max_batch_bytes: Bytes | None = Field(default=None, description="Largest batch; default 10485760.")
    max_headers: Count | None = Field(default=None, description="Most headers of a request; default 100.")
    max_header_bytes: Bytes | None = Field(default=None, description="Largest header; default 8192.")
    max_headers_bytes: Bytes | None = Field(default=None, description="All headers together; default 32768.")
    header_timeout: PositiveSeconds | None = Field(
        default=None, description="For the headers to arrive; default PT10S."
    )
    body_timeout: PositiveSeconds | None = Field(
        default=None, description="For the body to arrive; default PT30S."
    )
    idle_timeout: PositiveSeconds | None = Field(
        default=None, description="For an idle connection; default PT60S."
    )
    max_connections: Count | None = Field(default=None, description="Open connections; default 10000.")
    max_requests: Count | None = Field(
        default=None, description="Requests not yet answered, beyond which 429; default 1000."
    )
    max_pending_bytes: Bytes | None = Field(
        default=None, description="Bytes of events not yet durable, beyond which 429; default 268435456."
    )
    publish_timeout: PositiveSeconds | None = Field(
        default=None, description="How long a producer waits for durability before 503; default PT5S."
    )


class Admin(Model):
    """The listener for operators: health, metrics, the API."""

    listen: Listen | None = Field(default=None, description="`HOST:PORT`; default 127.0.0.1:8081.")
    token: SecretValue | None = Field(default=None, description="Bearer token; required outside loopback.")


class State(Model):
    """Where the embedded transport keeps its file."""

    directory: str | None = Field(
        default=None, description="Relative to the working directory; default `state`."
    )


class ClientCertificate(Model):
    """The certificate by which a peer is known."""

    san: Nonempty = Field(
        description="A subject alternative name of its certificate: a DNS name, URI or address."
    )


class Peer(Model):
    """Another gateway that may send here. It needs a bearer, a client certificate, or both."""

    cluster: Label = Field(description="Its name: whoever presents a credential of it is that cluster.")
    bearer: SecretValue | None = Field(default=None, description="Its token.")
    client_certificate: ClientCertificate | None = Field(
        default=None, description="Its certificate, signed by one of `ingress.tls.clientCaCerts`."
    )
    brokers: list[str] = Field(
        default=[], description="`namespace/name` of the Brokers it may send to; default: every one."
    )
    types: list[Nonempty] = Field(
        default=[], description="Prefixes of the event types it may send; default: all."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.bearer is None and self.client_certificate is None:
            raise wrong("needs a bearer, a clientCertificate, or both: by these it is known")
        return self


class Gateway(Model):
    """The process: listeners, limits, defaults. At most one; everything has a default."""

    cluster: Label = Field(default="local", description="This gateway's name towards others.")
    ingress: Ingress = Field(default=Ingress(), description="The listener for events.")
    admin: Admin = Field(default=Admin(), description="The listener for operators.")
    state: State = Field(default=State(), description="Where the embedded transport keeps its file.")
    default_transport: str = Field(
        default="embedded", description="Transport of Brokers that name none; `embedded` needs no document."
    )
    broker_classes: dict[str, str] = Field(
        default={}, description="Annotation `eventing.knative.dev/broker.class` -> name of a Transport."
    )
    delivery: Delivery | None = Field(
        default=None,
        description="For Brokers without a `delivery`; default: retry 10, exponential, PT0.2S, "
        "as Knative's installation has it.",
    )
    resolve: str = Field(
        default="http://{name}",
        description="How a ref to a Service becomes a URL; `{name}` and `{namespace}` are replaced.",
    )
    drain_timeout: PositiveSeconds = Field(
        default=25.0,
        description="How long stopping may take; default PT25S.",
        json_schema_extra={"default": "PT25S"},
    )
    peers: list[Peer] = Field(
        default=[],
        description="Gateways that may send here. What anybody else sends is an event of a producer.",
    )
    max_hops: Annotated[Whole, Field(ge=1, le=255)] = Field(
        default=16,
        description="Most links between gateways that an event may cross; beyond it, a dead letter of the Relay.",
    )


class Transport(Model):
    """What a Broker's channel lies on."""

    kind: str = Field(description="A registered kind: `embedded`, or one that a plugin brings.")
    ensure: Literal["create", "verify", "off"] = Field(
        default="create", description="Make what is missing, only look, or do neither."
    )
    options: dict[str, Any] = Field(
        default={}, description="As the kind says; any value may be `{valueFrom: …}` instead."
    )


class Endpoint(Model):
    """A named address with its TLS and credentials, for anything that is not a Service."""

    url: str = Field(description="An absolute http or https URL.")
    ca_certs: Certificates | None = Field(
        default=None, description="Certificates to trust; default: the system's."
    )
    auth: Auth = Field(default=Auth(), description="Credentials.")
    insecure_skip_verify: Flag = Field(default=False, description="Do not verify the server's certificate.")
    replies: Flag = Field(
        default=True, description="`false`: no `Prefer: reply`, response bodies are ignored."
    )
    headers: Headers = Field(default={}, description="Headers to add to every request.")


class RelayDelivery(Delivery):
    """How a Relay tries again. Nothing is inherited; a field that is absent has the default that stands here.

    A target that cannot be reached is tried for ever: its events wait on the transport of the Broker they
    come from, and cost no memory.
    """

    dead_letter_sink: Destination | None = Field(
        default=None,
        description="Where events go that the target will not take; default: the dead-letter channel of the Broker "
        "they come from.",
    )
    retry: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None,
        description="Attempts after the first one for a single event that fails while others of the same transfer pass, "
        f"after which it is a dead letter; default {RELAY_DELIVERY.retry}. A target that is away does not count.",
    )
    backoff_policy: Literal["linear", "exponential"] | None = Field(
        default=None,
        description="Of the tries at the dead letter sink. A target that is away is waited for twice as long each time, "
        "whatever stands here.",
    )
    backoff_delay: Seconds | None = Field(
        default=None,
        description="ISO 8601 duration: the first wait for a target that is away, 50 ms at the least; default PT0.2S.",
    )
    backoff_max: Seconds | None = Field(
        default=None,
        description="Longest wait between attempts, so also how late a target is noticed that has come back; default PT1M.",
    )
    timeout: PositiveSeconds | None = Field(
        default=None, description="Whole deadline of one transfer, answer included; default PT30S."
    )
    format: Literal["binary", "json"] | None = Field(
        default=None,
        description="CloudEvents mode towards a target that takes single events only: `binary` (default) or `json`.",
    )
    jitter: Literal["none"] | None = Field(
        default=None,
        description="Of the tries at the dead letter sink: `none` = waits are exact; default: each is spread over ±10 %. "
        "A target is waited for exactly.",
    )


class RateLimit(Model):
    """How fast a Relay may send."""

    events_per_second: PositiveNumber = Field(description="Most events a second, on average.")


class Relay(Model):
    """Which events of a Broker go to another Broker: of this gateway, of another one, or of anybody who takes CloudEvents."""

    from_: str = Field(
        alias="from", description="Name of the Broker that events come from, in the Relay's namespace."
    )
    to: Destination = Field(
        description="Where they go: the URL of a Broker (or of anything that takes CloudEvents), or a ref to a Broker, "
        "an Endpoint or a Service."
    )
    auth: Auth = Field(
        default=Auth(),
        description="Credentials; they replace those of an Endpoint. Without any, the other gateway takes the "
        "sender for a producer: it recognises neither loops nor duplicates.",
    )
    filters: list[Any] = Field(default=[], description="Entries must all match, as those of a Trigger.")
    delivery: RelayDelivery | None = Field(default=None, description="How it tries again, and dead letters.")
    rate_limit: RateLimit | None = Field(default=None, description="How fast it may send; default: no limit.")
    compression: Literal["gzip", "none"] = Field(
        default="none",
        description="`gzip`: transfers are compressed where the target takes it; default `none`.",
    )
    start: Start = Field(
        default=StartSpec(),
        description="Where a new Relay begins: `latest` (default), `earliest`, an RFC 3339 time, or `position:…`.",
        json_schema_extra={"default": "latest"},
    )


class Metadata(Model):
    """What identifies a document, as far as it is read here."""

    name: str = Field(description="Lower-case letters, digits, `-` and `.`; at most 63.")
    namespace: str | None = Field(
        default=None, description="Default `default`; Gateway and Transport have none."
    )
    labels: dict[str, str] = Field(default={}, description="Not read.")
    annotations: dict[str, str] = Field(default={}, description="See the annotations of the kind.")


MODELS: dict[tuple[str, str], type[Model]] = {
    (OURS, "Gateway"): Gateway,
    (OURS, "Transport"): Transport,
    (OURS, "Endpoint"): Endpoint,
    (OURS, "Relay"): Relay,
    (EVENTING, "Broker"): Broker,
    (EVENTING, "Trigger"): Trigger,
}
"""The kinds that are served: (apiVersion, kind) -> model of `spec`."""
