"""What holds for every event on the wire: one fault is found and named, every way leads to the same event,
and only legal bytes are written.
"""

from __future__ import annotations

import json as stdlib_json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway import attributes as rules
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import http, json, stored, text

LIMITS = http.Limits()
SPECIFIED = sorted({*rules.STRINGS, "data"})

strings = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30).filter(
    rules.is_text
)
sources = st.from_regex(r"[a-z]{1,5}:[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{0,20}", fullmatch=True).filter(
    lambda source: not re.search("%(?![0-9A-Fa-f]{2})", source)
)
moments = st.builds(
    lambda moment, digits, offset: moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + digits + offset,
    st.datetimes(),
    st.sampled_from(["", ".5", ".123456789012", ".120"]),
    st.sampled_from(["Z", "z", "+23:59", "-00:00"]),
)
names = st.from_regex(r"[a-z0-9]{1,25}", fullmatch=True).filter(lambda name: name not in SPECIFIED)
extensions = st.dictionaries(names, strings | st.booleans() | st.integers(-(2**31), 2**31 - 1), max_size=4)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab\u017e", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
payloads = st.one_of(
    st.tuples(st.just("application/json"), json_values.map(lambda v: stdlib_json.dumps(v).encode())),
    st.tuples(st.sampled_from(["text/plain", "text/xml; charset=iso-8859-2", "application/vnd.x+xml"]),
              st.binary(min_size=1, max_size=40) | st.text(min_size=1, max_size=20).map(lambda t: t.encode("utf-8", "replace"))),
    st.tuples(st.sampled_from([None, "application/octet-stream", "application/json"]), st.just(None)),
    st.tuples(st.sampled_from([None, "application/octet-stream"]), st.binary(min_size=1, max_size=40)),
)  # fmt: skip


@st.composite
def events(draw: st.DrawFn) -> Event:
    content_type, data = draw(payloads)
    given_attributes: dict[str, Any] = draw(extensions)
    for name, values in (("subject", strings), ("time", moments), ("dataschema", sources)):
        if draw(st.booleans()):
            given_attributes[name] = draw(values)
    if content_type:
        given_attributes["datacontenttype"] = content_type
    version = draw(st.sampled_from(["1.0", "1.0", "0.3"]))
    required = {"specversion": version, "id": draw(strings), "source": draw(sources), "type": draw(strings)}
    return Event.new(data=data, **{**given_attributes, **required})


def headers_of(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.split(b"\r\n")
    assert lines.pop() == b""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


def by_binary(event: Event) -> Event:
    (again,) = http.decode(headers_of(http.binary_head(event)), event.data or b"", LIMITS)
    return again


def by_structured(event: Event) -> Event:
    return json.decode(json.encode(event))


def by_batch(event: Event) -> Event:
    first, second = json.decode_batch(json.encode_batch([event, event]), 2, 10_000)
    assert first == second
    return first


def by_store(event: Event) -> Event:
    return stored.decode(stored.encode(event))


WAYS = [by_binary, by_structured, by_batch, by_store]


def said(event: Event) -> tuple[dict[str, str], bytes | None]:
    """What every binding keeps: attributes as text, and data."""
    return dict(event.attributes), event.data


@given(events())
def test_every_way_leads_to_the_same_event(event: Event):
    for way in WAYS:
        assert said(way(event)) == said(event), way


@given(events(), st.lists(st.sampled_from(WAYS), min_size=2, max_size=4))
def test_a_detour_changes_nothing(event: Event, ways: list[Any]):
    travelled = event
    for way in ways:
        travelled = way(travelled)

    assert said(travelled) == said(ways[-1](event))


@given(events(), st.sampled_from([by_structured, by_batch, by_store]))
def test_types_survive_where_the_encoding_has_types(event: Event, way: Any):
    assert (way(event).kinds or {}) == (event.kinds or {})


@given(events())
def test_only_legal_header_lines_are_written(event: Event):
    for name, value in headers_of(http.binary_head(event)):
        assert re.fullmatch(rb"content-type|ce-[a-z0-9]+", name)
        assert name == b"content-type" or re.fullmatch(rb"[!#-$&-~]|[!#-~]*", value)
        assert b"%" not in re.sub(rb"%[0-9A-F]{2}", b"", value)


@given(events())
def test_a_structured_event_is_json_with_the_members_of_the_event(event: Event):
    written = stdlib_json.loads(json.encode(event))

    assert not isinstance(written.get("data_base64", ""), dict)
    assert written.keys() - {"data", "data_base64", "datacontentencoding"} == event.attributes.keys()
    assert ("data" in written or "data_base64" in written) == (event.data is not None)
    assert not {"data", "data_base64"} <= written.keys()


@given(strings)
def test_a_value_of_any_legal_characters_survives_a_header(value: str):
    assert text.decode("x", text.encode(value).encode()) == value


FAULTS: list[tuple[str, str | None]] = [
    *[(name, None) for name in ("specversion", "id", "source", "type")],
    *[(name, "") for name in ("specversion", "id", "source", "type", "subject", "time", "dataschema")],
    ("specversion", "1.1"),
    ("source", "a b"), ("source", "/%4"), ("source", "/ž"),
    ("dataschema", "no scheme"), ("dataschema", "relative"),
    ("time", "2026-02-29T00:00:00Z"), ("time", "2026-01-01T00:00:00"), ("time", "2026-01-01T25:00:00Z"),
    ("subject", "a\u0085b"), ("id", "\ufdd0"), ("x", "\x7f"),
    ("Upper", "x"), ("under_score", "x"),
]  # fmt: skip


@given(events(), st.sampled_from(FAULTS))
def test_one_fault_in_a_valid_event_is_found_and_named_in_every_mode(
    event: Event, fault: tuple[str, str | None]
):
    name, value = fault
    broken = {key: text for key, text in event.attributes.items() if key != name}
    if value is not None:
        broken[name] = value
    label = name if rules.NAME.match(name) else f'"{name}"'

    assert [found.partition(":")[0] for found in rules.faults(broken)] == [label]
    bad = Event(broken, event.data, {n: k for n, k in (event.kinds or {}).items() if n != name})
    for way in (by_binary, by_structured, by_batch):
        with pytest.raises(InvalidEvent, match=re.escape(label) + ":"):
            way(bad)


@given(st.dictionaries(names | st.sampled_from(SPECIFIED) | st.text(max_size=3),
                       strings | sources | moments | st.sampled_from(["", "1.0", "a/b", "a\n"]), max_size=8))  # fmt: skip
def test_the_short_way_to_no_faults_never_disagrees_with_the_long_one(attributes: dict[str, str]):
    attributes = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", **attributes}

    assert rules.faults(attributes) == rules._all_faults(attributes)
    assert rules.faults(attributes) == rules._all_faults(attributes), "the second time, when it is remembered"


members = st.lists(
    st.tuples(st.sampled_from(["a", "b", "specversion", "data", "\\u0061"]),
              st.sampled_from(["1", "12", '"x"', '"1.0"', '"\\\\"', "null", '{"a":1}', "[ 1 ]"])), max_size=6)  # fmt: skip
spaces = st.sampled_from(["", " ", "\n\t"])


@given(members, spaces, spaces)
def test_a_repeated_name_is_found_exactly_when_there_is_one(
    pairs: list[tuple[str, str]], before: str, after: str
):
    inside = f"{before},{after}".join(
        f'{before}"{name}"{after}:{before}{value}{after}' for name, value in pairs
    )
    decoded = [stdlib_json.loads(f'"{name}"') for name, _ in pairs]

    with pytest.raises(InvalidEvent) as caught:
        json.decode(f"{{{before}{inside}}}".encode())

    assert ("stands more than once" in str(caught.value)) == (len(set(decoded)) < len(decoded))
