"""The kinds of documents as models: what may be said, with defaults and descriptions.

The reference page and the editor schema come from here. Unknown fields are found by `fields.py`,
not by the models, because what is an error in our kinds is only a warning in Knative's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mesh_gateway.transport import durations

OURS = "mesh-gateway.dev/v1alpha1"
EVENTING = "eventing.knative.dev/v1"


def _duration(text: str) -> str:
    durations.seconds(text)
    return text


Duration = Annotated[str, AfterValidator(_duration)]


class Model(BaseModel):
    """Names are camelCase in documents; values keep the types YAML gives them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, strict=True)


class Metadata(Model):
    name: str = Field(description="Name, unique for its kind in its namespace.")
    namespace: str | None = Field(default=None, description="Namespace; `default` when absent.")
    annotations: dict[str, Any] | None = Field(default=None, description="Annotations; see each kind.")
    labels: dict[str, Any] | None = Field(default=None, description="Kept for others, not used here.")


class Reference(Model):
    """A reference to a named object."""

    api_version: str | None = Field(default=None, description="Its apiVersion.")
    kind: str = Field(description="Broker, Endpoint or Service.")
    name: str = Field(description="Its name.")
    namespace: str | None = Field(default=None, description="Its namespace; the referrer's when absent.")
    group: str | None = Field(default=None, description="Its API group, instead of apiVersion.")
    address: str | None = Field(default=None, description="Which of its addresses; there is one here.")


class DestinationDoc(Model):
    """Where events go: a ref, a URI, or a ref with a relative URI."""

    ref: Reference | None = Field(default=None, description="An object that has an address.")
    uri: str | None = Field(default=None, description="An absolute URL, or a path below the ref's.")
    ca_certs: str | None = Field(default=None, alias="CACerts", description="PEM of authorities to trust.")
    audience: str | None = Field(default=None, description="OIDC audience; not used by this version.")


class DeliveryDoc(Model):
    """Knative's DeliverySpec, and three fields more."""

    dead_letter_sink: DestinationDoc | None = Field(
        default=None, description="Gets what cannot be delivered."
    )
    retry: int | None = Field(default=None, ge=0, le=10_000, description="Retries after the first attempt.")
    backoff_policy: Literal["linear", "exponential"] | None = Field(
        default=None, description="How the wait grows: delay × n, or delay × 2ⁿ. Exponential when absent."
    )
    backoff_delay: Duration | None = Field(default=None, description="The delay in that; PT0.2S when absent.")
    backoff_max: Duration | None = Field(default=None, description="Longest wait; PT1H when absent.")
    timeout: Duration | None = Field(
        default=None, description="For one attempt as a whole; PT30S when absent."
    )
    retry_after_max: Duration | None = Field(
        default=None, description="Longest Retry-After that is honoured; PT10M when absent, PT0S ignores it."
    )
    format: Literal["binary", "json"] | None = Field(
        default=None, description="binary, or json for structured."
    )
    jitter: Literal["none"] | None = Field(
        default=None, description="`none` takes away the ±10 % of every wait."
    )


class SecretKeyRef(Model):
    name: str = Field(description="Name of a Secret document in the same namespace.")
    key: str = Field(description="Key in its data or stringData.")


class ValueFrom(Model):
    env: str | None = Field(default=None, description="An environment variable.")
    file: str | None = Field(default=None, description="A file; relative to the document's folder.")
    secret_key_ref: SecretKeyRef | None = Field(default=None, description="A key of a Secret document.")


class SecretValue(Model):
    """A secret, by reference; never its text."""

    value_from: ValueFrom = Field(description="Where it comes from: env, file or secretKeyRef.")


class CertificateDoc(Model):
    certificate: str = Field(description="PEM file of the certificate chain.")
    key: str = Field(description="PEM file of its private key.")


class IngressDoc(Model):
    """The data listener."""

    listen: str | None = Field(default=None, description="HOST:PORT; 127.0.0.1:8080 when absent.")
    tls: CertificateDoc | None = Field(default=None, description="Serve HTTPS with this certificate.")
    max_event_bytes: int | None = Field(default=None, ge=65_536, le=2**30, description="Per event; 1 MiB.")
    max_batch_events: int | None = Field(default=None, ge=1, le=100_000, description="Per batch; 1,000.")
    max_batch_bytes: int | None = Field(default=None, ge=65_536, le=2**30, description="Per batch; 10 MiB.")
    max_headers: int | None = Field(default=None, ge=16, le=10_000, description="Per request; 100.")
    max_header_bytes: int | None = Field(default=None, ge=1_024, le=2**20, description="Per header; 8 KiB.")
    max_headers_bytes: int | None = Field(
        default=None, ge=4_096, le=2**22, description="All headers; 32 KiB."
    )
    header_timeout: Duration | None = Field(default=None, description="For a request's head; PT10S.")
    body_timeout: Duration | None = Field(default=None, description="For a request's body; PT30S.")
    idle_timeout: Duration | None = Field(default=None, description="Between requests; PT60S.")
    max_connections: int | None = Field(default=None, ge=1, description="At once; 10,000.")
    max_requests: int | None = Field(default=None, ge=1, description="Not yet durable, at once; 1,000.")
    max_pending_bytes: int | None = Field(default=None, ge=2**20, description="Not yet durable; 256 MiB.")
    publish_timeout: Duration | None = Field(default=None, description="Until 503; PT5S.")


class AdminDoc(Model):
    """The admin listener."""

    listen: str | None = Field(default=None, description="HOST:PORT; 127.0.0.1:8081 when absent.")
    token: SecretValue | None = Field(
        default=None, description="Asked for as a bearer token; needed off loopback."
    )


class StateDoc(Model):
    directory: str | None = Field(default=None, description="Where the embedded store lives; ./state.")


class GatewaySpecDoc(Model):
    cluster: str | None = Field(default=None, description="This gateway's name towards others; `local`.")
    ingress: IngressDoc | None = Field(default=None, description="The data listener.")
    admin: AdminDoc | None = Field(default=None, description="The admin listener.")
    state: StateDoc | None = Field(default=None, description="What must survive a restart.")
    default_transport: str | None = Field(default=None, description="Name of a Transport; `embedded`.")
    broker_classes: dict[str, str] | None = Field(
        default=None,
        description="Broker class -> Transport, for the annotation eventing.knative.dev/broker.class.",
    )
    delivery: DeliveryDoc | None = Field(
        default=None, description="For Brokers without one; 10 retries, exponential, PT0.2S when absent."
    )
    resolve: str | None = Field(
        default=None, description="How a ref to a Service becomes a URL; `http://{name}` when absent."
    )
    drain_timeout: Duration | None = Field(default=None, description="For stopping; PT25S.")
    peers: list[Any] | None = Field(default=None, description="Gateways that may relay to this one; later.")
    max_hops: int | None = Field(default=None, description="Links a relayed event may cross; later.")


class TransportSpecDoc(Model):
    kind: str = Field(description="A registered kind; see `mesh-gateway list transports`.")
    ensure: Literal["create", "verify", "off"] = Field(
        default="create", description="Whether channels are made, only looked for, or left alone."
    )
    options: dict[str, Any] | None = Field(default=None, description="Options of that kind.")


class CaCertsDoc(Model):
    file: str | None = Field(default=None, description="PEM file; relative to the document's folder.")
    inline: str | None = Field(default=None, description="PEM text.")


class AuthDoc(Model):
    bearer: SecretValue | None = Field(default=None, description="Sent as Authorization: Bearer.")
    client_certificate: CertificateDoc | None = Field(default=None, description="Presented in TLS.")


class EndpointSpecDoc(Model):
    url: str = Field(description="An absolute http or https URL.")
    ca_certs: CaCertsDoc | None = Field(
        default=None, description="Authorities to trust instead of the system's."
    )
    auth: AuthDoc | None = Field(default=None, description="Credentials, by reference.")
    replies: bool = Field(default=True, description="false: bodies of responses are ignored.")
    headers: dict[str, str] | None = Field(default=None, description="Sent with every event.")
    insecure_skip_verify: bool = Field(default=False, description="Do not verify its certificate.")


class BrokerSpecDoc(Model):
    config: Reference | None = Field(
        default=None, description="A Transport, or a ConfigMap its class understands."
    )
    delivery: DeliveryDoc | None = Field(default=None, description="For Triggers that have none.")


class FilterDoc(Model):
    attributes: dict[str, str] | None = Field(
        default=None, description="Exact values; an empty value asks for any that is not empty."
    )


class TriggerSpecDoc(Model):
    broker: str | None = Field(default=None, description="Name of its Broker, in the same namespace.")
    broker_ref: Reference | None = Field(default=None, description="Instead of broker.")
    filter: FilterDoc | None = Field(default=None, description="Counts when `filters` is empty.")
    filters: list[Any] | None = Field(
        default=None,
        description="All must hold. Each is one of exact, prefix, suffix, all, any, not, cesql.",
    )
    subscriber: DestinationDoc = Field(description="Gets the events.")
    delivery: DeliveryDoc | None = Field(default=None, description="Replaces the Broker's as a whole.")


class Base(Model):
    api_version: str
    kind: str
    metadata: Metadata
    status: Any = None


class GatewayDoc(Base):
    """What this process is: listeners, limits, defaults. At most one."""

    spec: GatewaySpecDoc = GatewaySpecDoc()


class TransportDoc(Base):
    """A broker that people already run, or the embedded store."""

    spec: TransportSpecDoc


class EndpointDoc(Base):
    """A named address with its TLS and credentials."""

    spec: EndpointSpecDoc


class BrokerDoc(Base):
    """Knative's Broker: a name that takes events."""

    spec: BrokerSpecDoc = BrokerSpecDoc()


class TriggerDoc(Base):
    """Knative's Trigger: a filter and where its events go."""

    spec: TriggerSpecDoc


class ConfigMapDoc(Base):
    """Settings that a Broker's config refers to."""

    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None
    immutable: bool | None = None


class SecretDoc(Base):
    """Secrets that documents refer to; its own values are not interpolated."""

    data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None
    type: str | None = None
    immutable: bool | None = None


MODELS: dict[tuple[str, str], type[Base]] = {
    (OURS, "Gateway"): GatewayDoc,
    (OURS, "Transport"): TransportDoc,
    (OURS, "Endpoint"): EndpointDoc,
    (EVENTING, "Broker"): BrokerDoc,
    (EVENTING, "Trigger"): TriggerDoc,
    ("v1", "ConfigMap"): ConfigMapDoc,
    ("v1", "Secret"): SecretDoc,
}
"""The kinds that are read. Services and Lists are handled by name alone."""

ANNOTATIONS: dict[str, str] = {
    "mesh-gateway.dev/order": "`ordered` or `unordered`; as kafka.eventing.knative.dev/delivery.order",
    "mesh-gateway.dev/parallelism": "deliveries at once, 1 to 1000; 64",
    "mesh-gateway.dev/overflow": "`park` or `block`: what a full window does",
    "mesh-gateway.dev/read": "`shared` or `dedicated`: a subscription of its own",
    "mesh-gateway.dev/start": "with dedicated: `latest`, `earliest`, an RFC 3339 time, or `position:N`",
    "mesh-gateway.dev/replies": '`"off"` ignores bodies of responses',
    "mesh-gateway.dev/window": "events of this trigger in memory, 1 to 1000000; 1000",
    "mesh-gateway.dev/interpolate": '`"true"` fills in ${VAR} in this document',
}
"""Annotations of ours on Triggers (the last on any Knative kind)."""
