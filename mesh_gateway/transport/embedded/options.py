"""What `Transport.spec.options` may say for `kind: embedded`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mesh_gateway.transport import durations


def seconds(value: object) -> object:
    """Seconds of an ISO 8601 duration; numbers pass."""
    return durations.seconds(value) if isinstance(value, str) else value


class EmbeddedOptions(BaseModel):
    """Options of the embedded transport; none is needed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    retention: Annotated[float, BeforeValidator(seconds), Field(ge=0)] = Field(
        default=600.0,
        description="How long an event that every group has settled is kept for replay and for triggers that "
        "start in the past (ISO 8601, such as PT10M). Ten minutes: long enough to attach a trigger while "
        "looking into a fault, short enough that the file follows the traffic.",
    )
    max_bytes: int = Field(
        default=10 * 2**30,
        alias="maxBytes",
        ge=2**20,
        description="Bytes of stored events at which publishing is refused with 503. Settled events are removed "
        "before that, whatever their retention.",
    )
