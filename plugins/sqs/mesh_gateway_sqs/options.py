"""What `Transport.spec.options` may say for `kind: sqs`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mesh_gateway.transport import durations

LARGEST = 1_048_576
"""Bytes of a message with its attributes, by SQS's own rule."""


def seconds(value: object) -> object:
    """Seconds of an ISO 8601 duration; numbers pass."""
    return durations.seconds(value) if isinstance(value, str) else value


class SqsOptions(BaseModel):
    """Options of the SQS transport. Credentials come the usual way of AWS: environment, shared files, role."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    region: str | None = Field(
        default=None,
        description="AWS region; else what AWS_REGION, AWS_DEFAULT_REGION or the shared configuration says.",
    )
    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Where requests go instead of the region's endpoint: a VPC endpoint, or an emulator.",
    )
    profile: str | None = Field(default=None, description="Profile of the shared AWS configuration.")
    prefix: str = Field(
        default="mesh-gateway",
        min_length=1,
        max_length=30,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="What the names of all queues begin with.",
    )
    fifo: bool = Field(
        default=False,
        description="FIFO queues: order within `partitionkey` (else subject, else source), and a second publish of the "
        "same source and id within five minutes is dropped by SQS. They carry less and cost more.",
    )
    visibility_timeout: Annotated[float, BeforeValidator(seconds)] = Field(
        default=30.0,
        alias="visibilityTimeout",
        ge=5,
        le=43_200,
        description="After this an event that was received by a gateway which died comes again; extended while it is "
        "held.",
    )
    wait_time: Annotated[float, BeforeValidator(seconds)] = Field(
        default=5.0,
        alias="waitTime",
        ge=1,
        le=20,
        description="How long one request waits for messages. Longer costs less while nothing comes; a stop waits for it.",
    )
    retention: Annotated[float, BeforeValidator(seconds)] = Field(
        default=1_209_600.0,
        ge=60,
        le=1_209_600,
        description="MessageRetentionPeriod of queues that are created. SQS deletes what is older, settled or not: the "
        "default is the longest that it allows, 14 days.",
    )
    max_message_bytes: int = Field(
        default=LARGEST,
        alias="maxMessageBytes",
        ge=65_536,
        le=LARGEST,
        description="Largest message that is sent, with its attributes. An event that comes nearer to it than 4,096 bytes "
        "is answered with 413: they are for its dead letter. Not above the queue's MaximumMessageSize.",
    )
    publish_timeout: Annotated[float, BeforeValidator(seconds)] = Field(
        default=15.0,
        gt=0,
        le=30,
        alias="publishTimeout",
        description="After this the outcome of a publish is called unknown (503).",
    )
