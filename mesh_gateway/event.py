"""The event: CloudEvents attributes and data bytes, made once, shared by reference, never changed.

Attributes are canonical strings (CloudEvents 1.0.2, section 2.3.1 "Type System"): equality,
filters and every binding but the JSON format work on them. What a JSON extension was
(a boolean or an integer) is kept beside it in `kinds`, so that structured output gives it back.
`data` is never parsed; `None` means "no data", which is not the same as empty data where the
binding can tell the difference. `time` keeps its original text. `headers` are the HTTP headers that
travel beside the event without being part of it (Knative's pass-through list: tracing and request ids).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Literal, Self

from mesh_gateway import attributes as rules
from mesh_gateway.errors import InvalidEvent

Kind = Literal["boolean", "integer"]
"""The JSON type of an extension that is not a string."""

REQUIRED = ("specversion", "id", "source", "type")


class Event:
    """One CloudEvent.

    The constructor takes what a codec has already validated and checks nothing; everybody
    else uses `Event.new` or `Event.from_sdk`, which do. Nobody changes an event or its
    mappings after construction: any number of tasks read the same one.
    """

    __slots__ = ("attributes", "data", "headers", "kinds")

    def __init__(
        self,
        attributes: Mapping[str, str],
        data: bytes | None = None,
        kinds: Mapping[str, Kind] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.attributes = attributes
        self.data = data
        self.kinds = kinds
        self.headers = headers

    @classmethod
    def new(
        cls,
        *,
        type: str,
        source: str,
        id: str | None = None,
        data: bytes | None = None,
        specversion: str = "1.0",
        **attributes: Any,
    ) -> Self:
        """A valid event; a missing `id` becomes a random UUID, nothing else is made up.

        Raises `InvalidEvent` naming every failing attribute.
        """
        given = {
            "specversion": specversion,
            "id": str(uuid.uuid4()) if id is None else id,
            "source": source,
            "type": type,
            **attributes,
        }
        texts, kinds, faults = rules.canonical(given)
        faults += rules.faults(texts)
        if faults:
            raise InvalidEvent(faults)
        return cls(texts, data, kinds or None)

    @classmethod
    def from_sdk(cls, event: Any) -> Self:
        """The same event as an object of the CloudEvents SDK's `core` API. Raises `InvalidEvent`.

        Data that the SDK holds as a Python value become JSON text; their type, if it was left out, becomes
        explicit (JSON format, 3.1.1).
        """
        given = {name: value for name, value in event.get_attributes().items() if value is not None}
        texts, kinds, faults = rules.canonical(given)
        faults += rules.faults(texts)
        if faults:
            raise InvalidEvent(faults)
        value = event.get_data()
        data = rules.data_bytes(value, texts.get("datacontenttype"))
        if data is not None and not isinstance(value, bytes | bytearray | memoryview):
            texts.setdefault("datacontenttype", "application/json")
        return cls(texts, data, kinds or None)

    def to_sdk(self) -> Any:
        """The same event as the SDK's `cloudevents.core` event of its version (needs the SDK installed).

        The SDK fills in a `time` where there is none. Raises `InvalidEvent` for what it cannot hold, such as
        a `time` that is no Python datetime.
        """
        from cloudevents.core.bindings.common import get_event_factory_for_version
        from cloudevents.core.exceptions import CloudEventValidationError

        make = get_event_factory_for_version(self.attributes["specversion"])
        try:
            return make(rules.native(self.attributes, self.kinds or {}), self.data)
        except CloudEventValidationError as error:
            raise InvalidEvent(f"the CloudEvents SDK refuses this event: {error}") from error

    def with_attributes(self, changes: Mapping[str, str | None]) -> Event:
        """A copy with these attributes set, or removed where the value is None; unchecked."""
        attributes = {**self.attributes, **changes}
        kept = {name: value for name, value in attributes.items() if value is not None}
        kinds = self.kinds
        if kinds is not None:
            kinds = {name: kind for name, kind in kinds.items() if name not in changes} or None
        return Event(kept, self.data, kinds, self.headers)

    @property
    def id(self) -> str:
        return self.attributes["id"]

    @property
    def source(self) -> str:
        return self.attributes["source"]

    @property
    def type(self) -> str:
        return self.attributes["type"]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return (
            self.attributes == other.attributes
            and self.data == other.data
            and (self.kinds or {}) == (other.kinds or {})
        )

    __hash__ = None  # type: ignore[assignment]  # mutable mappings inside; never a key

    def __repr__(self) -> str:
        size = "no data" if self.data is None else f"{len(self.data)} bytes"
        return f"<Event {self.type} {self.id} from {self.source}, {size}>"
