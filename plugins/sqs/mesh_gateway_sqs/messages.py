"""Event ↔ SQS message: the CloudEvents JSON format in the body, made safe for the characters that SQS takes.

There is no binding of CloudEvents for SQS. The body alone is the event; the attributes are copies for whoever filters
or looks, and what the format has no room for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import beside, json

CONTENT_TYPE, HEADERS = "content-type", "mesh-headers"
STRUCTURED = "application/cloudevents+json"
COPIED = {name: f"ce-{name}" for name in ("specversion", "id", "type", "source", "subject")}
"""Attributes that are shown beside the body: with ours seven of the ten that SQS allows."""

LONGEST_COPY = 256
"""Characters of a copied attribute: it counts towards the size, and whoever filters compares short texts."""

_illegal = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What is no character of XML 1.0, which is what SQS takes."""

_LAST_TWO = "\ufffe".encode()[:2]
"""How both characters begin that JSON lets stand in a text and SQS does not; its controls and surrogates are escapes."""


class Message(NamedTuple):
    """A message as it is sent. `size` as SQS counts: the body, and names, types and values of attributes."""

    body: str
    attributes: dict[str, str]
    size: int


def encode(event: Event) -> Message:
    """The message of an event."""
    body = _legal(json.encode(event))
    attributes = {CONTENT_TYPE: STRUCTURED}
    for name, shown in COPIED.items():
        value = event.attributes.get(name)
        if value and len(value) <= LONGEST_COPY and (value.isprintable() or not _illegal.search(value)):
            attributes[shown] = value
    if event.headers:
        attributes[HEADERS] = _legal(beside.written(event.headers))
    size = len(body.encode())
    for name, value in attributes.items():
        size += len(name) + len("String") + len(value.encode())
    return Message(body, attributes, size)


def _legal(text: bytes) -> str:
    """The JSON text with what SQS refuses written as escapes.

    Nearly no text has any. To let the expression find that out costs as much as all else of a message of 1 KiB together.
    """
    if text.isascii() or _LAST_TWO not in text:  # what is no ASCII costs 1.3 µs for 1,000 bytes
        return text.decode()
    return _illegal.sub(lambda found: f"\\u{ord(found[0]):04x}", text.decode())


def decode(body: str, attributes: Mapping[str, Any]) -> Event:
    """The event of a message. Raises `InvalidEvent` when it is none.

    An SNS notification is unwrapped: what was published to the topic is the event.
    """
    try:
        event = json.decode(body.encode())
    except InvalidEvent:
        inner = _of_sns(body)
        if inner is None:
            raise
        event = json.decode(inner)
    text = attributes.get(HEADERS, {}).get("StringValue")
    passed = beside.headers(text) if text else None
    return Event(event.attributes, event.data, event.kinds, passed) if passed else event


def _of_sns(body: str) -> bytes | None:
    """What an SNS envelope holds, if the body is one."""
    try:
        envelope = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(envelope, dict) or not {"Type", "TopicArn", "Message"} <= envelope.keys():
        return None
    message = envelope["Message"]
    return message.encode() if isinstance(message, str) else None


def group_id(event: Event) -> str:
    """The MessageGroupId of a FIFO queue: within it order is kept."""
    get = event.attributes.get
    key = get("partitionkey") or get("subject") or get("source") or ""
    fits = len(key) <= 128 and key.isascii() and key.isprintable() and " " not in key
    return key if fits else hashlib.sha256(key.encode()).hexdigest()


def deduplication_id(event: Event) -> str:
    """Of a FIFO queue: the same for the same source and id, and for nothing else."""
    source, id = event.attributes["source"].encode(), event.attributes["id"].encode()
    return hashlib.sha256(b"%d:%b%d:%b" % (len(source), source, len(id), id)).hexdigest()
