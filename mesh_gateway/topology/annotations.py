"""What annotations say about a Trigger: ours, and those of Knative's brokers that mean the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from mesh_gateway.topology.documents import ANNOTATIONS
from mesh_gateway.topology.fields import suggestion
from mesh_gateway.topology.read import Read, Reporter
from mesh_gateway.topology.spec import StartSpec

OURS = "mesh-gateway.dev/"
KAFKA_ORDER = "kafka.eventing.knative.dev/delivery.order"
RABBITMQ_PARALLELISM = "rabbitmq.eventing.knative.dev/parallelism"

Reading = Callable[[str], Any]


def read(one: Read, reporter: Reporter) -> dict[str, Any]:
    """Fields of `TriggerSpec` that annotations set. Reports every wrong one."""
    said: dict[str, Any] = {}
    given = one.model.metadata.annotations or {}
    # Knative's first, so that ours count where both are given.
    for name in sorted(given, key=lambda name: name.startswith(OURS)):
        path = ("metadata", "annotations", name)
        if name.startswith(OURS) and name not in ANNOTATIONS:
            hint = suggestion(name, ANNOTATIONS)
            reporter.at(one.document, "MG028", path, f"unknown annotation{hint}")
        elif name in _READERS:
            field, reading = _READERS[name]
            try:
                said[field] = reading(str(given[name]))
            except ValueError as error:
                reporter.at(one.document, "MG028", path, str(error))
    if said.get("start") is not None and said.get("read") != "dedicated":
        message = "a start position needs mesh-gateway.dev/read: dedicated"
        reporter.at(one.document, "MG028", ("metadata", "annotations", OURS + "start"), message)
    return said


def _one_of(*words: str) -> Reading:
    def reading(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"{text!r}: one of {', '.join(words)}")
        return text.lower()

    return reading


def _number(least: int, most: int) -> Reading:
    def reading(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"{text!r}: a whole number from {least} to {most}")
        return int(text)

    return reading


def _replies(text: str) -> bool:
    if text.lower() not in ("off", "on", "false", "true"):
        raise ValueError(f'{text!r}: "on" or "off"')
    return text.lower() in ("on", "true")


def _start(text: str) -> StartSpec:
    if text == "latest":
        return StartSpec("latest")
    if text == "earliest":
        return StartSpec("earliest")
    if text.startswith("position:"):
        return StartSpec("position", position=text.removeprefix("position:"))
    wrong = ValueError(f"{text!r}: latest, earliest, position:N, or a time such as 2026-11-24T08:00:00Z")
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise wrong from None
    if moment.tzinfo is None:
        raise wrong
    return StartSpec("timestamp", timestamp=moment.timestamp())


_READERS: dict[str, tuple[str, Reading]] = {
    KAFKA_ORDER: ("order", _one_of("unordered", "ordered")),
    RABBITMQ_PARALLELISM: ("parallelism", _number(1, 1000)),
    OURS + "order": ("order", _one_of("unordered", "ordered")),
    OURS + "parallelism": ("parallelism", _number(1, 1000)),
    OURS + "overflow": ("overflow", _one_of("park", "block")),
    OURS + "read": ("read", _one_of("shared", "dedicated")),
    OURS + "start": ("start", _start),
    OURS + "replies": ("replies", _replies),
    OURS + "window": ("window_events", _number(1, 1_000_000)),
}
