"""Every kind of document as a model of its `spec`, each field described.

The reference page and the JSON Schema come from these descriptions. Names are camelCase in documents.
What a model cannot say about itself (unknown fields, null = absent) is in `fields.py`; defaults that
come from elsewhere (delivery, namespaces) are filled in where specs are made.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

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


class Model(BaseModel):
    """Frozen; unknown fields are found by `fields.py` before this is asked."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, serialize_by_alias=True)


def _one_of(model: Model, *names: str) -> None:
    given = [to_camel(name) for name in names if getattr(model, name) is not None]
    known = ", ".join(to_camel(name) for name in names)
    if not given:
        raise wrong(f"needs one of {known}")
    if len(given) > 1:
        raise wrong(f"{' and '.join(given)} exclude each other; take one")


# Secrets and certificates


class SecretKeyRef(Model):
    """A key of a Secret document."""

    name: str = Field(description="Name of the Secret.")
    key: str = Field(description="Key in its `data` or `stringData`.")
    namespace: str | None = Field(default=None, description="Its namespace; default: that of this document.")


class ValueFrom(Model):
    """Where a secret value is; exactly one."""

    env: str | None = Field(default=None, description="Name of an environment variable.")
    file: str | None = Field(
        default=None,
        description="A file, relative to this document; one line break at its end does not count.",
    )
    secret_key_ref: SecretKeyRef | None = Field(default=None, description="A key of a Secret document.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _one_of(self, "env", "file", "secret_key_ref")
        return self


def _by_reference(value: Any) -> Any:
    if isinstance(value, str):
        raise wrong("a secret comes by reference: {valueFrom: {env: NAME}} or {valueFrom: {file: PATH}}")
    return value


class SecretSource(Model):
    """A value that is never printed, given by reference."""

    value_from: ValueFrom = Field(description="Where the value is.")


SecretValue = Annotated[SecretSource, BeforeValidator(_by_reference)]


class Certificates(Model):
    """Certificates to trust instead of the system's; exactly one."""

    file: str | None = Field(default=None, description="A PEM file, relative to this document.")
    inline: str | None = Field(default=None, description="PEM text.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _one_of(self, "file", "inline")
        return self


class KeyPair(Model):
    """A certificate and its private key, as PEM files."""

    certificate: str = Field(
        description="PEM file with the certificate and its chain, relative to this document."
    )
    key: str = Field(description="PEM file with the private key, relative to this document.")


# Duck types of Knative


class Reference(Model):
    """A reference to an object (Knative's KReference)."""

    kind: str = Field(
        description="`Service`, `Broker` or `Endpoint`; for `config` also `Transport`, `ConfigMap`."
    )
    name: str = Field(description="Its name.")
    namespace: str | None = Field(default=None, description="Its namespace; default: that of this document.")
    api_version: str | None = Field(default=None, description="Its group and version, such as `v1`.")
    group: str | None = Field(default=None, description="Knative's alpha alternative to `apiVersion`.")
    address: str | None = Field(
        default=None, description="Knative: which of several addresses. Has no effect here."
    )


class Destination(Model):
    """Where events go: `ref`, or an absolute `uri`, or both with a relative `uri` (RFC 3986, against the ref's URL)."""

    ref: Reference | None = Field(
        default=None, description="Something with an address: a Service, a Broker, an Endpoint."
    )
    uri: str | None = Field(default=None, description="A URL; relative only together with `ref`.")
    ca_certs: str | None = Field(
        default=None,
        alias="CACerts",
        description="PEM text of the certificates to trust for this destination.",
    )
    audience: str | None = Field(default=None, description="Knative: OIDC audience. Has no effect here.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ref is None and self.uri is None:
            raise wrong("needs a ref or a uri")
        return self


class Delivery(Model):
    """Retries and dead letters. The object of a Trigger replaces the Broker's as a whole, also when it is `{}`."""

    dead_letter_sink: Destination | None = Field(
        default=None,
        description="Where events go that could not be delivered; default: the Broker's dead-letter channel.",
    )
    retry: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None, description="Attempts after the first one; default 0."
    )
    backoff_policy: Literal["linear", "exponential"] | None = Field(
        default=None,
        description="Wait before retry n: `backoffDelay * n`, or `backoffDelay * 2^n`; default `exponential`.",
    )
    backoff_delay: Seconds | None = Field(default=None, description="ISO 8601 duration; default PT0.2S.")
    timeout: PositiveSeconds | None = Field(
        default=None, description="Whole deadline of one attempt, response included; default PT30S."
    )
    retry_after_max: Seconds | None = Field(
        default=None,
        description="Longest `Retry-After` that is honoured; PT0S = ignore the header; default PT10M.",
    )
    format: Literal["binary", "json"] | None = Field(
        default=None, description="CloudEvents mode of delivery: `binary` (default) or `json` (structured)."
    )
    backoff_max: Seconds | None = Field(
        default=None, description="Longest wait between attempts; default PT1H."
    )
    jitter: Literal["none"] | None = Field(
        default=None, description="`none` = waits are exact; default: each is spread over ±10 %."
    )


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


class Auth(Model):
    """Credentials that are presented to a destination."""

    bearer: SecretValue | None = Field(default=None, description="Token for `Authorization: Bearer`.")
    client_certificate: KeyPair | None = Field(default=None, description="Client certificate for TLS.")


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
