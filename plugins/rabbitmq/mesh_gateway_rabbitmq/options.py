"""What `Transport.spec.options` may say for `kind: rabbitmq`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from mesh_gateway.transport import durations


def seconds(value: object) -> object:
    """Seconds of an ISO 8601 duration; numbers pass."""
    return durations.seconds(value) if isinstance(value, str) else value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TlsOptions(_Model):
    """TLS towards the server; needed only for an authority or a certificate of your own."""

    ca_file: Path | None = Field(
        default=None,
        alias="caFile",
        description="PEM file of the authorities that sign the server's certificate.",
    )
    certificate_file: Path | None = Field(
        default=None,
        alias="certificateFile",
        description="PEM file of the client's certificate, for mutual TLS.",
    )
    key_file: Path | None = Field(
        default=None, alias="keyFile", description="PEM file of the client's private key."
    )


class RabbitOptions(_Model):
    """Options of the RabbitMQ transport."""

    url: SecretStr = Field(
        default=SecretStr("amqp://guest:guest@localhost:5672/"),
        description="amqp://user:password@host:port/vhost, or amqps:// for TLS. Give it as {valueFrom: {file: …}} or "
        "{valueFrom: {env: …}}, because it holds the password.",
    )
    username: str | None = Field(default=None, description="User name, instead of the one in the URL.")
    password: SecretStr | None = Field(
        default=None, description="Password, instead of the one in the URL; give it by reference."
    )
    tls: TlsOptions | None = Field(default=None, description="Certificates, for amqps://.")
    prefix: str = Field(
        default="mesh-gateway",
        min_length=1,
        max_length=60,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="What the names of all exchanges and queues begin with.",
    )
    prefetch: int = Field(
        default=5_000,
        ge=1,
        le=65_535,
        description="Messages that one reader holds unsettled. It has to be larger than the windows of Triggers that may "
        "be stuck at once (1,000 each): only what does not fit a window is parked.",
    )
    heartbeat: Annotated[float, BeforeValidator(seconds)] = Field(
        default=10.0,
        ge=1,
        le=60,
        description="Seconds between heartbeats: a server that says nothing for twice as long is lost.",
    )
    consumer_timeout: Annotated[float, BeforeValidator(seconds)] = Field(
        default=1800.0,
        gt=60,
        alias="consumerTimeout",
        description="The server's consumer_timeout: a message that is held longer is taken away from us. What has to "
        "wait longer than two thirds of it is parked.",
    )
    publish_timeout: Annotated[float, BeforeValidator(seconds)] = Field(
        default=15.0,
        gt=0,
        le=30,
        alias="publishTimeout",
        description="After this the outcome of a publish is called unknown (503).",
    )
    max_message_bytes: int = Field(
        default=16 * 2**20,
        alias="maxMessageBytes",
        ge=64 * 1024,
        description="Largest message that is sent. An event that comes nearer to it than 4,096 bytes is answered with 413: "
        "they are for its dead letter. Not above the server's max_message_size (16 MiB in RabbitMQ 4).",
    )

    @field_validator("url")
    @classmethod
    def _scheme(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith(("amqp://", "amqps://")):
            raise ValueError("must begin with amqp:// or amqps://")
        return value
