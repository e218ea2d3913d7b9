"""The vectors of others: CloudEvents' format tests (JSON) and the header values of the C# SDK's tests.

Retold from cloudevents/conformance, branch `format-tests` (format/json), and cloudevents/sdk-csharp
(HttpUtilitiesTest), both Apache-2.0.
"""

from __future__ import annotations

import json as stdlib_json
from typing import Any

import pytest

from mesh_gateway.errors import InvalidEvent
from mesh_gateway.wire import json, text

MINIMAL = {
    "specversion": "1.0",
    "id": "minimal",
    "type": "io.cloudevents.test",
    "source": "https://cloudevents.io",
}
ALL_CORE = {
    "datacontenttype": "text/plain",
    "dataschema": "https://cloudevents.io/dataschema",
    "subject": "tests",
    "time": "2018-04-05T17:31:00Z",
}
ALL_EXTENSION_TYPES: dict[str, Any] = {
    "extinteger": 10,
    "extboolean": True,
    "extstring": "text",
    "exturi": "https://cloudevents.io",
    "exturiref": "//authority/path",
    "exttimestamp": "2023-03-31T15:12:00Z",
    "extbinary": "TWE=",
}
GONE = object()


def body(changes: dict[str, Any]) -> bytes:
    event = {name: value for name, value in {**MINIMAL, **changes}.items() if value is not GONE}
    return stdlib_json.dumps(event).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        dict.fromkeys(ALL_CORE),
        ALL_CORE,
        {"time": "2018-04-05T17:31:00Z"},
        {"time": "2018-04-05T17:31:00.000000000Z"},
        {"time": "2018-04-05T18:31:00+01:00"},
        {"time": "2018-04-05T16:31:00-01:00"},
        {"source": "#fragment"},
        {"datacontenttype": "text/plain", "data": "Simple text"},
        ALL_EXTENSION_TYPES,
    ],
)
def test_a_valid_event_of_the_format_tests_is_read_with_all_it_says(changes):
    event = json.decode(body(changes))

    written = stdlib_json.loads(json.encode(event))
    assert written == {name: value for name, value in {**MINIMAL, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"specversion": GONE}, "specversion"),
        ({"id": GONE}, "id"),
        ({"type": GONE}, "type"),
        ({"source": GONE}, "source"),
        ({"time": "lunchtime"}, "time"),
        ({"time": "2018-04-05T18:31Z"}, "time"),
        ({"time": "2018-04-05T18:31:00X"}, "time"),
        ({"time": "2018-04-05T18:31:00+25:00"}, "time"),
        ({"time": "2018-04-05T18:31:00+xx:00"}, "time"),
        ({"time": "2018-04-05T18:31:00+05"}, "time"),
        ({"id": ""}, "id"),
        ({"type": ""}, "type"),
        ({"source": ""}, "source"),
        ({"specversion": ""}, "specversion"),
        ({"specversion": "0.9"}, "specversion"),
        ({"datacontenttype": "xyz"}, "datacontenttype"),
        ({"datacontenttype": ""}, "datacontenttype"),
        ({"dataschema": ""}, "dataschema"),
        ({"subject": ""}, "subject"),
        ({"id": 25}, "id"),
        ({"id": {"xyz": "abc"}}, "id"),
        ({"MyExtension": "bad"}, '"MyExtension"'),
        ({"my.extension": "bad"}, '"my.extension"'),
        ({"my.extension": 1.5}, '"my.extension"'),
        ({"data": "text", "data_base64": "eyAieHl6IjogMTIzIH0="}, "data"),
    ],
)
def test_an_invalid_event_of_the_format_tests_is_refused_by_name(changes, named):
    with pytest.raises(InvalidEvent) as caught:
        json.decode(body(changes))

    assert {fault.partition(":")[0] for fault in caught.value.faults} == {named}


@pytest.mark.parametrize(
    "members",
    [
        [MINIMAL, {**MINIMAL, "specversion": "0.9"}],
        [{"specversion": "1.0", "type": "io.cloudevents.test", "source": "https://cloudevents.io"}],
        ["not an object", MINIMAL],
    ],
)
def test_an_invalid_batch_of_the_format_tests_is_refused(members):
    with pytest.raises(InvalidEvent):
        json.decode_batch(stdlib_json.dumps(members).encode(), 10, 1_000)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("simple", "simple"),
        ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
        ("space encoded", "space%20encoded"),
        ("percent%encoded", "percent%25encoded"),
        ('quote"encoded', "quote%22encoded"),
        ("café", "caf%C3%A9"),
        ("line1\r\nline2", "line1%0D%0Aline2"),
    ],
)
def test_a_header_value_of_the_csharp_sdk_goes_both_ways(value, encoded):
    assert text.encode(value) == encoded
    assert text.decode("x", encoded.encode()) == value


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("lenient decoding %30%31", "lenient decoding 01"),
        ('"  quoted  text  "unquoted', "  quoted  text  unquoted"),
        (r'"escaped quote\"end"', 'escaped quote"end'),
        (r'"escaped backslash\\end"', r"escaped backslash\end"),
        (r"non-escaping backslash\end", r"non-escaping backslash\end"),
        ("Euro%20%e2%82%ac%20%f0%9F%98%80", "Euro € 😀"),
    ],
)
def test_a_header_value_that_the_csharp_sdk_only_reads_is_read_so(header, value):
    assert text.decode("x", header.encode()) == value


@pytest.mark.parametrize(
    "header",
    [
        "low surrogate %ED%B0%80",
        "high surrogate %ED%A0%80",
        "surrogate pair via two UTF-16 %ED%A0%80%ED%B0%80",
        "overlong UTF-8 %C0%A0",
        "incomplete end UTF-8 %E2",
        "incomplete end UTF-8 %E2%",
        "incomplete non-percent UTF-8 %E2x",
        "invalid UTF-8 first byte %82",
        "invalid UTF-8 second byte %E2%E2",
        '"unterminated quote',
        '"unterminated escape \\',
    ],
)
def test_a_header_value_that_the_csharp_sdk_refuses_is_refused(header):
    with pytest.raises(InvalidEvent, match="x: "):
        text.decode("x", header.encode())


@pytest.mark.parametrize("header", ["end %", "end %0", "bad %g0", "bad %0g", "bad %0$"])
def test_a_percent_sign_without_digits_is_kept_where_the_csharp_sdk_refuses_it(header):
    assert text.decode("x", header.encode()) == header
