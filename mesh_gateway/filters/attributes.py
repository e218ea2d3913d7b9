"""Reading one attribute of an event, the same way for every dialect.

An attribute is its canonical string; CESQL also wants the type that an extension came with. Three
names read more than their own entry, as Knative's filters do: `dataschema` (CloudEvents 1.0) and
`schemaurl` (0.3) are one attribute under two names, and `datamediatype` is `datacontenttype` without its
parameters. An entry of the very name always comes first.
"""

from __future__ import annotations

from collections.abc import Callable

from mesh_gateway.attributes import typed
from mesh_gateway.event import Event

_SYNONYMS = {"dataschema": "schemaurl", "schemaurl": "dataschema"}


def is_plain(name: str) -> bool:
    """Whether `event.attributes.get(name)` is all there is to reading it: hot paths do just that."""
    return name not in _SYNONYMS and name != "datamediatype"


def text(event: Event, name: str) -> str | None:
    """The canonical string of an attribute; None when the event has none."""
    attributes = event.attributes
    found = attributes.get(name)
    if found is not None:
        return found
    if name in _SYNONYMS:
        return attributes.get(_SYNONYMS[name])
    if name == "datamediatype" and "datacontenttype" in attributes:
        return attributes["datacontenttype"].partition(";")[0].strip().lower()
    return None


def text_reader(name: str) -> Callable[[Event], str | None]:
    """`text` for one name, compiled."""
    if is_plain(name):
        return lambda event: event.attributes.get(name)
    return lambda event: text(event, name)


def value_reader(name: str) -> Callable[[Event], str | int | bool | None]:
    """The attribute as CESQL sees it: Boolean and Integer keep their type, the rest is a String (1.0.0, 3.1)."""
    read = text_reader(name)

    def value(event: Event) -> str | int | bool | None:
        found = read(event)
        if found is None or event.kinds is None:
            return found
        kind = event.kinds.get(name)
        if kind is None:
            return found
        return typed(found, kind)

    return value
