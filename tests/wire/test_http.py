"""Events in HTTP messages: modes, header values, and what is refused with which status."""

from __future__ import annotations

import pytest

from mesh_gateway.errors import EventError, EventTooLarge, InvalidEvent, UnsupportedMediaType
from mesh_gateway.event import Event
from mesh_gateway.wire import http

LIMITS = http.Limits(max_event_bytes=1_000, max_batch_events=3, max_batch_bytes=5_000)
CE = [(b"ce-specversion", b"1.0"), (b"ce-id", b"1"), (b"ce-source", b"/s"), (b"ce-type", b"t")]


def decode(*headers: tuple[bytes, bytes], body: bytes = b"") -> Event:
    return http.decode([*CE, *headers], body, LIMITS)[0]


def test_binary_headers_become_attributes_and_the_body_data():
    event = decode((b"content-type", b"text/plain"), (b"ce-myext", b"x"), (b"host", b"h"), body=b"hello")

    assert event.attributes == {
        "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "myext": "x", "datacontenttype": "text/plain",
    }  # fmt: skip
    assert event.data == b"hello"


def test_an_empty_body_is_no_data():
    assert decode().data is None


def test_any_content_type_passes_unchanged():
    assert decode((b"content-type", b"whatever it is")).attributes["datacontenttype"] == "whatever it is"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"plain", "plain"),
        (b"a%20b", "a b"),
        (b"a%2Fb%2fc", "a/b/c"),
        (b"Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("raw € utf-8".encode(), "raw € utf-8"),
        (b'"quoted text"', "quoted text"),
        (b'"with \\"escapes\\" and \\\\"', 'with "escapes" and \\'),
        (b'"a"b"c"', "abc"),
        (b'{"othervalue": 5}', '{"othervalue": 5}'),
        (b"100%", "100%"),
        (b"%zz", "%zz"),
        (b"%2525", "%25"),
    ],
)
def test_header_values_are_decoded_once(raw, value):
    assert decode((b"ce-subject", raw)).attributes["subject"] == value


@pytest.mark.parametrize(
    "raw",
    [b"%C0%A0", b"%ED%A0%80", b"%E2%82", b"\xff\xfe", b'"open', b"%0d%0aX-Evil: 1", b"%00", b"%EF%BF%BE"],
)
def test_header_values_that_are_no_text_are_refused_by_name(raw):
    with pytest.raises(InvalidEvent, match="subject"):
        decode((b"ce-subject", raw))


@pytest.mark.parametrize("name", [b"ce-my_ext", b"ce-data", b"ce-", b"ce-my-ext", b"ce-datacontenttype"])
def test_header_names_of_illegal_form_are_refused(name):
    with pytest.raises(InvalidEvent):
        decode((name, b"x"))


def test_an_attribute_header_that_stands_twice_is_refused():
    with pytest.raises(InvalidEvent, match="id: the header ce-id stands more than once"):
        decode((b"ce-id", b"2"))


def test_all_faults_of_a_request_are_named():
    with pytest.raises(InvalidEvent) as caught:
        http.decode([(b"ce-specversion", b"9"), (b"ce-source", b"a b"), (b"ce-time", b"now")], b"", LIMITS)

    assert {fault.partition(":")[0] for fault in caught.value.faults} == {
        "specversion",
        "id",
        "source",
        "type",
        "time",
    }


def test_a_request_without_an_event_says_so():
    with pytest.raises(InvalidEvent, match="not a CloudEvent"):
        http.decode([(b"content-type", b"text/plain")], b"x", LIMITS)


@pytest.mark.parametrize(
    ("content_type", "mode"),
    [
        (None, "binary"),
        (b"application/json", "binary"),
        (b"application/cloudevents+json", "structured"),
        (b"Application/CloudEvents+JSON; charset=UTF-8", "structured"),
        (b"application/cloudevents-batch+json", "batch"),
    ],
)
def test_the_content_type_decides_the_mode(content_type, mode):
    assert http.mode(content_type) == mode


@pytest.mark.parametrize(
    "content_type",
    [b"application/cloudevents", b"application/cloudevents+xml", b"application/cloudevents-batch+avro",
     b"application/cloudevents+json; charset=latin-1"],
)  # fmt: skip
def test_other_formats_are_415(content_type):
    with pytest.raises(UnsupportedMediaType):
        http.mode(content_type)


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"identity, gzip"])
def test_a_content_encoding_is_415(encoding):
    with pytest.raises(UnsupportedMediaType):
        decode((b"content-encoding", encoding))


def test_identity_is_no_encoding():
    assert decode((b"content-encoding", b"Identity")).id == "1"


def test_the_body_wins_when_a_structured_message_has_attribute_headers_too():
    body = b'{"specversion":"1.0","id":"body","source":"/s","type":"t"}'

    assert decode((b"content-type", b"application/cloudevents+json"), body=body).id == "body"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], b"x" * 1_001),
        ([(b"content-type", b"application/cloudevents+json")], b" " * 1_001),
        ([(b"content-type", b"application/cloudevents-batch+json")], b" " * 5_001),
        ([(b"content-type", b"application/cloudevents-batch+json")], b"[" + b",".join([b"{}"] * 4) + b"]"),
    ],
)
def test_what_is_over_a_limit_is_413(headers, body):
    with pytest.raises(EventTooLarge):
        http.decode([*CE, *headers], body, LIMITS)


def test_pass_through_headers_travel_beside_the_event_and_no_others():
    event = decode(
        (b"traceparent", b"00-a-b-01"), (b"x-request-id", b"r"), (b"knative-foo", b"f"), (b"x-b3-traceid", b"b"),
        (b"authorization", b"Bearer secret"), (b"cookie", b"c"),
    )  # fmt: skip

    assert event.headers == {
        "traceparent": "00-a-b-01",
        "x-request-id": "r",
        "knative-foo": "f",
        "x-b3-traceid": "b",
    }


def test_a_binary_head_is_what_was_decoded():
    event = decode(
        (b"ce-subject", b"a%20b%25%E2%82%AC"), (b"content-type", b"text/plain"), (b"traceparent", b"00-1")
    )

    head = http.binary_head(event, frozenset({"id"}))

    assert b"ce-subject: a%20b%25%E2%82%AC\r\n" in head
    assert b"content-type: text/plain\r\n" in head
    assert b"traceparent: 00-1\r\n" in head
    assert b"ce-id" not in head


def test_a_head_cannot_be_split_by_a_value():
    event = Event({"specversion": "1.0", "id": "1", "source": "/s", "type": "a\r\nx-evil: 1"})

    assert b"\r\nx-evil" not in http.binary_head(event)


@pytest.mark.parametrize(
    ("headers", "body"), [([], b""), ([(b"content-type", b"text/html")], b""), ([(b"server", b"x")], b"")]
)
def test_a_response_without_body_and_attributes_is_no_reply(headers, body):
    assert http.decode_reply(headers, body, LIMITS) is None


def test_a_reply_is_an_event_in_either_mode():
    body = b'{"specversion":"1.0","id":"r","source":"/s","type":"t"}'
    structured = http.decode_reply([(b"content-type", b"application/cloudevents+json")], body, LIMITS)
    binary = http.decode_reply(CE, b"", LIMITS)

    assert structured is not None
    assert structured.id == "r"
    assert binary is not None
    assert binary.id == "1"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(b"content-type", b"text/html")], b"<html>"),
        ([(b"ce-id", b"1")], b""),
        ([(b"content-type", b"application/cloudevents-batch+json")], b"[]"),
        ([(b"content-type", b"application/cloudevents+json")], b"{"),
    ],
)
def test_a_body_that_is_no_event_is_not_a_reply(headers, body):
    with pytest.raises(EventError):
        http.decode_reply(headers, body, LIMITS)


def test_version_0_3_is_kept_as_it_came():
    event = http.decode([(b"ce-specversion", b"0.3"), *CE[1:], (b"ce-schemaurl", b"/x")], b"", LIMITS)[0]

    assert event.attributes["specversion"] == "0.3"
    assert event.attributes["schemaurl"] == "/x"


@pytest.mark.parametrize("raw", [b"  padded\t", b"padded ", b"\tpadded"])
def test_white_space_around_a_header_value_is_not_part_of_it(raw):
    assert decode((b"ce-subject", raw)).attributes["subject"] == "padded"
    assert decode((b"content-type", raw)).attributes["datacontenttype"] == "padded"


def test_an_empty_content_type_is_none():
    assert "datacontenttype" not in decode((b"content-type", b" "), body=b"x").attributes


def test_a_content_type_of_any_characters_but_controls_passes():
    kind = "text/plain; title=ž\u00ad"

    assert decode((b"content-type", kind.encode())).attributes["datacontenttype"] == kind
    for bad in (b"a\x00b", b"a\tb", b"\xff"):
        with pytest.raises(InvalidEvent, match="datacontenttype"):
            decode((b"content-type", bad))


def test_a_content_type_beyond_ascii_is_written_as_it_was_read():
    event = decode((b"content-type", "text/plain; title=ž".encode()), (b"ce-subject", "ž".encode()))

    head = http.binary_head(event)

    assert "content-type: text/plain; title=ž\r\n".encode() in head
    assert b"ce-subject: %C5%BE\r\n" in head


STRUCTURED = (b"content-type", b"application/cloudevents+json")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([*CE, (b"content-type", b"a/b"), (b"content-type", b"a/b")], b""),
        ([STRUCTURED, STRUCTURED], b'{"specversion":"1.0","id":"1","source":"/s","type":"t"}'),
        ([STRUCTURED, *CE, CE[0]], b'{"specversion":"1.0","id":"1","source":"/s","type":"t"}'),
    ],
)
def test_a_header_of_the_event_that_stands_twice_is_refused_in_every_mode(headers, body):
    with pytest.raises(InvalidEvent, match="stands more than once"):
        http.decode(headers, body, LIMITS)


@pytest.mark.parametrize("content_type", [b"application/cloudeventsx", b"application/cloudevents; a=b"])
def test_whatever_begins_like_a_cloudevents_type_is_never_taken_for_data(content_type):
    with pytest.raises(UnsupportedMediaType):
        decode((b"content-type", content_type))


def test_pass_through_headers_of_one_name_are_one_list():
    event = decode((b"tracestate", b"a=1"), (b"tracestate", b" b=2 "))

    assert event.headers == {"tracestate": "a=1, b=2"}


def test_pass_through_headers_are_bounded_and_printable():
    many = [(b"knative-%d" % n, b"x") for n in range(http.MAX_PASSED + 10)]

    assert len(decode(*many).headers or {}) == http.MAX_PASSED
    assert decode((b"traceparent", b"\xff"), (b"baggage", b"a\x00b")).headers is None


def test_pass_through_headers_travel_beside_structured_and_batched_events_too():
    body = b'{"specversion":"1.0","id":"1","source":"/s","type":"t"}'
    batch = (b"content-type", b"application/cloudevents-batch+json")
    beside = (b"traceparent", b"00-1")

    for headers, message in (([STRUCTURED, beside], body), ([batch, beside], b"[" + body + b"]")):
        assert http.decode(headers, message, LIMITS)[0].headers == {"traceparent": "00-1"}


def test_base64_of_version_0_3_is_decoded_in_binary_mode_as_well():
    headers = [(b"ce-specversion", b"0.3"), *CE[1:], (b"ce-datacontentencoding", b"Base64")]
    (event,) = http.decode(headers, b"AAE=", LIMITS)

    assert event.data == b"\x00\x01"
    assert "datacontentencoding" not in event.attributes
    with pytest.raises(InvalidEvent, match="data: is not valid base64"):
        http.decode(headers, b"A", LIMITS)
    with pytest.raises(InvalidEvent, match="datacontentencoding: only base64"):
        http.decode([*headers[:-1], (b"ce-datacontentencoding", b"gzip")], b"A", LIMITS)


def test_an_attribute_called_datacontentencoding_is_an_extension_in_version_1_0():
    event = decode((b"ce-datacontentencoding", b"base64"), body=b"AAE=")

    assert event.data == b"AAE="
    assert event.attributes["datacontentencoding"] == "base64"


def test_a_response_of_a_structured_type_without_a_body_is_no_reply():
    assert http.decode_reply([STRUCTURED], b"", LIMITS) is None
