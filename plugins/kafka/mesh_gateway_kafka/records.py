"""Event ↔ Kafka record: the CloudEvents Kafka protocol binding 1.0.2, binary content mode written, both read.

A header `ce_<name>` for each attribute, its value in UTF-8 and nothing encoded; `content-type` for the content
type; the key is the extension `partitionkey`. Knative's Kafka Broker reads and writes the same. What the binding
has no room for travels in two headers of our own, which other readers ignore: see `mesh_gateway.wire.beside`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mesh_gateway import attributes as rules
from mesh_gateway import native
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import beside, json

KINDS = "mesh-kinds"
HEADERS = "mesh-headers"
CONTENT_TYPE = "content-type"
STRUCTURED = b"application/cloudevents"

Headers = Sequence[tuple[str, bytes]]


class Record(NamedTuple):
    """A record as it is published."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] | bytes
    """Bytes: as they stand in a batch (`encode_natively`)."""

    @property
    def size(self) -> int:
        """Bytes in a batch, at most: 36 for lengths and offsets of the record, 8 for those of a header."""
        size = 36 + len(self.key or b"") + len(self.value or b"")
        if isinstance(self.headers, bytes):
            return size + len(self.headers)
        # Without native parts every event comes here: `sum` over a generator takes half as long again.
        for name, value in self.headers:
            size += len(name) + len(value) + 8
        return size


_MEMORY, _MEMORABLE = 512, 64
"""Names of headers and attributes are few and come with every event; they are strangers' choice, too, so what is remembered
is bounded in number and in length."""

_headers: dict[str, str] = {}
_attributes: dict[str, str] = {}


def encode(event: Event) -> Record:
    """The record of an event. Without data the value is null (3.2.2); a key only where there is a `partitionkey`."""
    attributes = event.attributes
    headers = [(_headers.get(name) or _header(name), value.encode()) for name, value in attributes.items()]
    if event.kinds:
        headers.append((KINDS, beside.written(event.kinds)))
    if event.headers:
        headers.append((HEADERS, beside.written(event.headers)))
    key = attributes.get("partitionkey")
    return Record(None if key is None else key.encode(), event.data, headers)


def encode_natively(event: Event) -> Record:
    """The same record with its headers written by the native part, for `batches.Batch`."""
    assert native.PARTS.record_headers is not None
    attributes = event.attributes
    headers = native.PARTS.record_headers(
        attributes if type(attributes) is dict else dict(attributes),
        beside.written(event.kinds) if event.kinds else None,
        beside.written(event.headers) if event.headers else None,
    )
    key = attributes.get("partitionkey")
    return Record(None if key is None else key.encode(), event.data, headers)


def event_of(record: Any) -> Event:
    """The event of a fetched record, whoever has read it. Raises `InvalidEvent` when it is none."""
    attributes = getattr(record, "attributes", None)
    if attributes is None:
        return decode(record.value, record.headers)
    passed = record.passed  # a native part has read it, and found no fault
    return Event(attributes, record.value, None, None if passed is None else beside.headers(passed))


def decode(value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> Event:
    """The event of a record. Raises `InvalidEvent` when it is none.

    Of a header that stands twice the last counts, as in Knative's reader.
    """
    attributes: dict[str, str] = {}
    content_type = kinds = passed = None
    try:
        for name, text in headers:
            if attribute := _attributes.get(name):
                attributes[attribute] = _text(name, text)
            elif name[:3] == "ce_":
                attributes[_attribute(name)] = _text(name, text)
            elif name == CONTENT_TYPE:
                content_type = text
            elif name == KINDS:
                kinds = beside.kinds(text or b"")
            elif name == HEADERS:
                passed = beside.headers(text or b"")
    except UnicodeDecodeError:
        raise InvalidEvent(f"the header {name} is not UTF-8") from None
    if content_type is not None and content_type[:23].lower() == STRUCTURED:
        return _structured(value, passed)
    if "specversion" not in attributes:
        raise InvalidEvent(
            "no CloudEvent: there is neither a ce_specversion header nor a content-type application/cloudevents+json"
        )
    # Some SDKs write it beside the header that counts (3.2.1).
    attributes.pop("datacontenttype", None)
    if content_type:
        attributes["datacontenttype"] = content_type.decode("utf-8", "replace")
    faults = rules.faults(attributes)
    if faults:
        raise InvalidEvent(faults)
    return Event(attributes, value, kinds, passed)


def _text(name: str, value: bytes | None) -> str:
    if value is None:
        raise InvalidEvent(f"the header {name} has no value")
    return value.decode()


def _structured(value: bytes | None, passed: dict[str, str] | None) -> Event:
    if value is None:
        raise InvalidEvent("the content type says a structured event, and there is no value")
    event = json.decode(value)
    return Event(event.attributes, event.data, event.kinds, passed) if passed else event


def _header(attribute: str) -> str:
    name = CONTENT_TYPE if attribute == "datacontenttype" else "ce_" + attribute
    return _remember(_headers, attribute, name)


def _attribute(header: str) -> str:
    return _remember(_attributes, header, header[3:])


def _remember(names: dict[str, str], one: str, other: str) -> str:
    if len(one) <= _MEMORABLE:
        if len(names) >= _MEMORY:
            names.clear()
        names[one] = other
    return other
