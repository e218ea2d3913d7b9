"""What runs: the frozen result of reading the documents, with every default filled in and every ref resolved.

`gateway.assembly` turns these into running objects and `topology.diff` compares two of them;
nothing else reads them. Names of brokers, triggers, relays and endpoints are `namespace/name`.
All durations are seconds. A `Secret` never shows itself in `repr`, and compares by value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that came by reference and must not be printed."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "********"


@dataclass(frozen=True, slots=True)
class TLSServerSpec:
    """Certificate and key files of a TLS listener."""

    certificate: Path
    key: Path
    client_authorities: str | None = None
    """PEM text; those whose client certificates are believed. None = clients are not asked for one."""
    content: str = ""
    """A hash of both files: others under the same names are a change."""


@dataclass(frozen=True, slots=True)
class IngressSpec:
    """The data listener and its limits (`ingress.limits` says what each is)."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls: TLSServerSpec | None = None
    max_event_bytes: int = 1_048_576
    max_batch_events: int = 1_000
    max_batch_bytes: int = 10_485_760
    max_headers: int = 100
    max_header_bytes: int = 8_192
    max_headers_bytes: int = 32_768
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 60.0
    max_connections: int = 10_000
    max_requests: int = 1_000
    """Requests accepted but not yet answered, over all connections; beyond it 429."""
    max_pending_bytes: int = 268_435_456
    """Bytes of events accepted but not yet durable, over all connections; beyond it 429."""
    publish_timeout: float = 5.0
    """How long a producer waits for durability before 503."""
    url: str | None = None
    """How others reach this ingress: its public base URL, without a slash at its end. None = as it listens."""


@dataclass(frozen=True, slots=True)
class AdminSpec:
    """The admin listener. Outside loopback it needs a token."""

    host: str = "127.0.0.1"
    port: int = 8081
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class TransportSpec:
    """One transport: `kind` is a registered kind, `options` its validated model dumped to plain values."""

    name: str
    kind: str
    ensure: Literal["create", "verify", "off"] = "create"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientCertificateSpec:
    certificate: Path
    key: Path
    content: str = ""
    """As `TLSServerSpec.content`."""


@dataclass(frozen=True, slots=True)
class HttpDestination:
    """An HTTP(S) URL with its TLS and credentials."""

    url: str
    ca_certificates: str | None = None
    """PEM text; None = the system's."""
    client_certificate: ClientCertificateSpec | None = None
    bearer: Secret | None = None
    insecure_skip_verify: bool = False
    replies: bool = True
    """False: `Prefer: reply` is not sent and bodies are ignored."""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class BrokerDestination:
    """A broker of this gateway, reached in process."""

    broker: str
    """`namespace/name`."""


@dataclass(frozen=True, slots=True)
class PluginDestination:
    """A URI whose scheme a plugin serves (`mesh_sinks`)."""

    uri: str


Destination = HttpDestination | BrokerDestination | PluginDestination


@dataclass(frozen=True, slots=True)
class DeliverySpec:
    """Effective delivery of a trigger or relay: nothing is inherited any more."""

    retry: int = 0
    backoff_policy: Literal["linear", "exponential"] = "exponential"
    backoff_delay: float = 0.0
    backoff_max: float = 3600.0
    retry_after_max: float = 600.0
    jitter: bool = True
    timeout: float = 30.0
    format: Literal["binary", "json"] = "binary"
    dead_letter_sink: Destination | None = None


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """A broker: its channel lies on `transport`."""

    namespace: str
    name: str
    transport: str
    options: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, Secret], ...] = ()
    """Further options of the channels, out of a Secret document: `secret.<key>`."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class StartSpec:
    at: Literal["latest", "earliest", "timestamp", "position"] = "latest"
    timestamp: float | None = None
    position: str | None = None


@dataclass(frozen=True, slots=True)
class TriggerSpec:
    """A trigger. `filters` is the validated document form: see `mesh_gateway.filters.dialects.parse`."""

    namespace: str
    name: str
    broker: str
    """`namespace/name` of its broker."""
    destination: Destination
    delivery: DeliverySpec = DeliverySpec()
    filters: tuple[Any, ...] = ()
    filter_attributes: tuple[tuple[str, str], ...] = ()
    order: Literal["unordered", "ordered"] = "unordered"
    parallelism: int = 64
    overflow: Literal["park", "block"] = "park"
    read: Literal["shared", "dedicated"] = "shared"
    start: StartSpec = StartSpec()
    """Counts only with `read: dedicated`."""
    replies: bool = True
    window_events: int = 1_000
    window_bytes: int = 16_777_216

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """Another gateway that may send here: whoever presents one of its credentials is that cluster."""

    cluster: str
    bearer: Secret | None = None
    san: str | None = None
    """A subject alternative name of its client certificate."""
    brokers: tuple[str, ...] = ()
    """`namespace/name` of the brokers it may send to; none given = every one."""
    types: tuple[str, ...] = ()
    """Prefixes of the event types it may send; none given = all."""


RELAY_DELIVERY = DeliverySpec(retry=10, backoff_delay=0.2, backoff_max=60.0)
"""Of a relay: whoever is away is asked again every minute, because its events wait on disk and nothing is lost by it."""


@dataclass(frozen=True, slots=True)
class RelaySpec:
    """A relay: what it wants of its broker goes to another broker. `filters` is as a trigger's."""

    namespace: str
    name: str
    broker: str
    """`namespace/name` of the broker that it reads from."""
    destination: HttpDestination | BrokerDestination
    """Over HTTP it asks for no replies."""
    delivery: DeliverySpec = RELAY_DELIVERY
    """`retry` counts only failures of one event while others of its transfer pass; a target that cannot be
    reached is tried for ever."""
    filters: tuple[Any, ...] = ()
    rate: float | None = None
    """Events a second at most; None = as many as go."""
    compression: Literal["gzip", "none"] = "none"
    start: StartSpec = StartSpec()

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """Everything one gateway process serves."""

    name: str = "mesh-gateway"
    cluster: str = "local"
    ingress: IngressSpec = IngressSpec()
    admin: AdminSpec = AdminSpec()
    state_directory: Path | None = Path("state")
    """Where the embedded transport keeps its file; None = in memory."""
    drain_timeout: float = 25.0
    peers: tuple[PeerSpec, ...] = ()
    max_hops: int = 16
    """Links between gateways that an event may cross."""
    transports: Mapping[str, TransportSpec] = field(default_factory=dict)
    brokers: Mapping[str, BrokerSpec] = field(default_factory=dict)
    triggers: Mapping[str, TriggerSpec] = field(default_factory=dict)
    relays: Mapping[str, RelaySpec] = field(default_factory=dict)
    digest: str = ""
    """Short hash of the documents this came from."""
