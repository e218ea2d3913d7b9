"""What annotations say: ours, and those of Knative's brokers that mean the same here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mesh_gateway.topology.faults import Path, closest, meant
from mesh_gateway.topology.knative import KAFKA_ORDER, RABBITMQ_PARALLELISM, UNHEEDED
from mesh_gateway.topology.resources import INTERPOLATE, Resource
from mesh_gateway.topology.values import start_position

PREFIX = "mesh-gateway.dev/"

Reading = Callable[[str], dict[str, Any]]
"""From an annotation's text to fields of `TriggerSpec`; raises `ValueError` with what is allowed."""


class Annotation(NamedTuple):
    """One annotation on a Trigger."""

    reading: Reading
    summary: str


def read(resource: Resource) -> dict[str, Any]:
    """Fields of `TriggerSpec` that a Trigger's annotations set; every wrong one is a fault."""
    said: dict[str, Any] = {}
    # Knative's first, so that ours count where both are given.
    for name in sorted(resource.annotations, key=lambda name: name.startswith(PREFIX)):
        known = TRIGGER.get(name)
        if known is None:
            continue
        try:
            said |= known.reading(resource.annotations[name].strip())
        except ValueError as error:
            resource.fault("MG028", _path(name), str(error))
    if "start" in said and said.get("read") != "dedicated":
        message = "needs mesh-gateway.dev/read: dedicated; a shared reader goes on where it was"
        resource.fault("MG028", _path(PREFIX + "start"), message, key=True)
    return said


def check(resource: Resource, known: Mapping[str, Any]) -> None:
    """Unknown annotations of ours are faults, and those without effect here are said."""
    for name in resource.annotations:
        if name.startswith(PREFIX) and name not in known and name != INTERPOLATE:
            resource.fault("MG028", _path(name), f"unknown annotation{_hint(name, known)}", key=True)
        elif name in UNHEEDED and name not in known:
            resource.fault("MG205", _path(name), f"has no effect here: {UNHEEDED[name]}", key=True)
    if resource.annotations.get(INTERPOLATE, "true") not in ("true", "false"):
        resource.fault("MG028", _path(INTERPOLATE), 'must be "true" or "false"')


def _hint(name: str, known: Mapping[str, Any]) -> str:
    if name in TRIGGER:
        return "; it belongs on a Trigger"
    # Compared without the prefix, in which all of them are alike.
    words = {one.removeprefix(PREFIX): one for one in (*known, INTERPOLATE) if one.startswith(PREFIX)}
    close = closest(name.removeprefix(PREFIX), words)
    return f", did you mean {words[close]!r}?" if close else ""


def _path(name: str) -> Path:
    return ("metadata", "annotations", name)


def _word(field: str, *words: str) -> Reading:
    def reading(text: str) -> dict[str, Any]:
        if text.lower() not in words:
            raise ValueError(f"must be {' or '.join(words)}{meant(text, words)}")
        return {field: text.lower()}

    return reading


def _number(text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(text)


def _parallelism(text: str) -> dict[str, Any]:
    return {"parallelism": _number(text, 1, MOST_PARALLEL)}


def _rabbitmq_parallelism(text: str) -> dict[str, Any]:
    """1 is how Knative's RabbitMQ broker spells first in, first out, retries included."""
    number = _number(text, 1, MOST_PARALLEL)
    return {"parallelism": number} | ({"order": "ordered"} if number == 1 else {})


def _replies(text: str) -> dict[str, Any]:
    if text.lower() not in ("on", "off"):
        raise ValueError('must be "on" or "off", in quotes')
    return {"replies": text.lower() == "on"}


def _start(text: str) -> dict[str, Any]:
    return {"start": start_position(text)}


_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_window = re.compile(
    r"(?:(?P<events>[0-9]{1,9}))?(?:(?:^|,\s*)(?P<size>[0-9]{1,6})(?P<unit>[KMG]iB))?\Z"
).match


def _of_window(text: str) -> dict[str, Any]:
    found = _window(text)
    if found is None or not text:
        raise ValueError("must be a number of events, bytes with a unit, or both: '500', '8MiB', '500, 8MiB'")
    said: dict[str, Any] = {}
    if found["events"]:
        said["window_events"] = _number(found["events"], 1, 1_000_000)
    if found["size"]:
        said["window_bytes"] = int(found["size"]) * _UNITS[found["unit"]]
        if not said["window_bytes"]:
            raise ValueError("must have room for something")
    return said


MOST_PARALLEL = 1_000
"""Connections to one subscriber; the most that Knative's RabbitMQ broker allows as well."""

TRIGGER: Mapping[str, Annotation] = {
    KAFKA_ORDER: Annotation(_word("order", "unordered", "ordered"), "as `mesh-gateway.dev/order`"),
    RABBITMQ_PARALLELISM: Annotation(
        _rabbitmq_parallelism, "as `mesh-gateway.dev/parallelism`; `1` also means `ordered`"
    ),
    PREFIX + "order": Annotation(
        _word("order", "unordered", "ordered"),
        "`unordered` (default), or `ordered`: one at a time for each key, retries included",
    ),
    PREFIX + "parallelism": Annotation(_parallelism, f"deliveries at once, 1 to {MOST_PARALLEL}; default 64"),
    PREFIX + "overflow": Annotation(
        _word("overflow", "park", "block"),
        "what a full window does: `park` (default) writes on to the trigger's own channel, `block` holds the broker's reader",
    ),
    PREFIX + "read": Annotation(
        _word("read", "shared", "dedicated"),
        "`shared` (default): one reader for all triggers of a broker; `dedicated`: a subscription of its own",
    ),
    PREFIX + "start": Annotation(
        _start,
        "with `dedicated`, where a new subscription begins: `latest` (default), `earliest`, an RFC 3339 time, `position:…`",
    ),
    PREFIX + "replies": Annotation(
        _replies, '`"on"` (default); `"off"`: no `Prefer: reply`, bodies of responses are ignored'
    ),
    PREFIX + "window": Annotation(
        _of_window,
        "what the trigger holds in memory: events, bytes or both (`500, 8MiB`); default 1000 and 16MiB",
    ),
}
"""Every annotation that is read on a Trigger."""
