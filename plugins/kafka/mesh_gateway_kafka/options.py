"""What `Transport.spec.options` may say for `kind: kafka`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from mesh_gateway.transport import durations

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

SMALLEST_RECORD = 64 * 1024 + 16 * 1024
"""64 KiB of event have to pass (CloudEvents 1.0.2, "Size Limits"), and their headers."""


def seconds(value: object) -> object:
    """Seconds of an ISO 8601 duration; numbers pass."""
    return durations.seconds(value) if isinstance(value, str) else value


def words(value: object) -> object:
    """A list, also out of a text with commas."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TlsOptions(_Model):
    """TLS towards the brokers; `{}` is TLS with the system's authorities."""

    ca_file: Path | None = Field(
        default=None,
        alias="caFile",
        description="PEM file of the authorities that sign the brokers' certificates.",
    )
    certificate_file: Path | None = Field(
        default=None,
        alias="certificateFile",
        description="PEM file of the client's certificate, for mutual TLS.",
    )
    key_file: Path | None = Field(
        default=None, alias="keyFile", description="PEM file of the client's private key."
    )


class SaslOptions(_Model):
    """How to authenticate."""

    mechanism: Mechanism = Field(
        default="SCRAM-SHA-512",
        description="SASL mechanism. PLAIN sends the password as it is: use it with TLS.",
    )
    username: str = Field(description="User name.")
    password: SecretStr = Field(
        description="Password; give it as {valueFrom: {file: …}} or {valueFrom: {env: …}}."
    )


class KafkaOptions(_Model):
    """Options of the Kafka transport."""

    bootstrap_servers: Annotated[tuple[str, ...], BeforeValidator(words)] = Field(
        default=(),
        alias="bootstrapServers",
        description="host:port of brokers to begin with, as a list or with commas. Without it, `bootstrap.servers` of "
        "the ConfigMap that a Broker names is used.",
    )
    tls: TlsOptions | None = Field(default=None, description="TLS; absent = plain text.")
    sasl: SaslOptions | None = Field(default=None, description="Authentication; absent = none.")
    client_id: str = Field(
        default="mesh-gateway", alias="clientId", description="How brokers' logs and quotas name us."
    )
    topic: str = Field(
        default="knative-broker-{namespace}-{broker}",
        description="Name of a Broker's topic. The default is that of Knative's Kafka Broker, so that both may read "
        "and write the same topic. Dead letters and parked events have topics of their own, with the suffixes "
        "`.dead-letters` and `.parked.<trigger>`.",
    )
    group: str = Field(
        default="mesh-gateway.{namespace}.{broker}",
        description="Consumer group of a Broker. Triggers with a reader of their own, and parked events, have groups "
        "with further suffixes.",
    )
    partitions: int = Field(default=10, ge=1, le=10_000, description="Partitions of a topic that is created.")
    replication_factor: int = Field(
        default=1,
        alias="replicationFactor",
        ge=1,
        le=100,
        description="Replicas of a topic that is created. With one, an event is as durable as one broker's disk; use 3.",
    )
    topic_config: dict[str, str] = Field(
        default={},
        alias="topicConfig",
        description="Further settings of a topic that is created, such as retention.ms.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="none",
        description="How batches are compressed. zstd saves most of the network for little CPU.",
    )
    max_record_bytes: int = Field(
        default=1_048_588,
        alias="maxRecordBytes",
        ge=SMALLEST_RECORD,
        description="Largest record that is sent. An event that comes nearer to it than 4,096 bytes is answered with 413: "
        "they are for its dead letter. Not above the topic's max.message.bytes, whose default this is.",
    )
    publish_timeout: Annotated[float, BeforeValidator(seconds)] = Field(
        default=15.0,
        gt=0,
        le=30,
        alias="publishTimeout",
        description="After this the outcome of a publish is called unknown (503). Longer than a change of leader takes.",
    )

    @model_validator(mode="after")
    def _templates(self) -> KafkaOptions:
        for name, template in (("topic", self.topic), ("group", self.group)):
            try:
                template.format(namespace="n", broker="b")
            except (KeyError, IndexError, ValueError):
                raise ValueError(f"{name}: may hold {{namespace}} and {{broker}}, not {template!r}") from None
        if "{namespace}" not in self.topic or "{broker}" not in self.topic:
            raise ValueError(
                "topic: has to hold {namespace} and {broker}, else two Brokers would share a topic"
            )
        return self
