"""What `Transport.spec.options` may say for `kind: embedded`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_duration = re.compile(
    r"P(?:(?P<days>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:\.\d+)?)H)?(?:(?P<minutes>\d+(?:\.\d+)?)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?\Z"
).match


def seconds(value: object) -> object:
    """Seconds of an ISO 8601 duration; numbers pass."""
    if not isinstance(value, str):
        return value
    match = _duration(value)
    if match is None or value in ("P", "PT"):
        raise ValueError(f"{value!r} is not an ISO 8601 duration such as PT10M")
    parts = {unit: float(amount) for unit, amount in match.groupdict().items() if amount}
    return timedelta(**parts).total_seconds()


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
