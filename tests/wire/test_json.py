"""The JSON format: data kept as the bytes that came, types kept beside their text, nothing invented."""

from __future__ import annotations

import json as stdlib_json

import pytest

from mesh_gateway.errors import EventTooLarge, InvalidEvent
from mesh_gateway.event import Event, Kind
from mesh_gateway.wire import json

HEAD = '"specversion":"1.0","id":"1","source":"/s","type":"t"'


def decode(members: str = "") -> Event:
    return json.decode(("{" + HEAD + ("," + members if members else "") + "}").encode())


@pytest.mark.parametrize(
    "data",
    ['{"b":1.0e5,  "a":12345678901234567890}', "[1,2]", '"text"', "1e400", "null", "true", '{"a":1,"a":2}'],
)
def test_json_data_is_kept_as_the_very_bytes(data):
    event = decode(f'"datacontenttype":"application/json","data":{data}')

    assert event.data == data.encode()
    assert f'"data":{data}'.encode() in json.encode(event)


def test_data_without_a_content_type_is_json_and_that_becomes_explicit():
    assert decode('"data":{"a":1}').attributes["datacontenttype"] == "application/json"


def test_base64_data_without_a_content_type_stays_without():
    event = decode('"data_base64":"AAH/"')

    assert event.data == b"\x00\x01\xff"
    assert "datacontenttype" not in event.attributes


def test_text_data_is_encoded_by_its_charset():
    assert decode('"datacontenttype":"text/plain","data":"ž"').data == "ž".encode()
    assert decode('"datacontenttype":"text/plain; charset=iso-8859-2","data":"ž"').data == "ž".encode(
        "iso-8859-2"
    )


def test_version_0_3_base64_is_decoded():
    members = (
        '"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"base64","data":"AAE="'
    )
    event = json.decode(("{" + members + "}").encode())

    assert event.data == b"\x00\x01"
    assert "datacontentencoding" not in event.attributes


@pytest.mark.parametrize(
    ("content_type", "data"),
    [
        (None, b"\x00"),
        ("text/plain", b"\xff"),
        ("application/octet-stream", b"hello"),
        ("text/plain", b"hello"),
    ],
)
def test_binary_data_of_version_0_3_are_written_the_way_0_3_knows(content_type, data):
    attributes = {"specversion": "0.3", "id": "1", "source": "/s", "type": "t"}
    if content_type:
        attributes["datacontenttype"] = content_type

    written = json.encode(Event(attributes, data))

    assert b"data_base64" not in written
    assert json.decode(written) == Event(attributes, data)


def test_data_of_version_0_3_are_never_taken_for_encoded_when_they_are_written():
    attributes = {
        "specversion": "0.3",
        "id": "1",
        "source": "/s",
        "type": "t",
        "datacontentencoding": "base64",
    }
    for data in (b"AAE=", b"\x00", None):
        written = json.encode(Event(attributes, data))

        assert written.count(b"datacontentencoding") == (data is not None)
        assert json.decode(written).data == data


def test_an_unknown_encoding_of_version_0_3_is_refused_by_name():
    body = b'{"specversion":"0.3","id":"1","source":"/s","type":"t","datacontentencoding":"gzip","data":"x"}'
    with pytest.raises(InvalidEvent, match="datacontentencoding"):
        json.decode(body)


def test_null_members_are_unset():
    event = decode('"subject":null,"time":null,"myext":null,"data_base64":null')

    assert set(event.attributes) == {"specversion", "id", "source", "type"}


def test_booleans_and_integers_keep_their_type_beside_their_text():
    event = decode('"flag":true,"count":-7')

    assert event.attributes["flag"] == "true"
    assert event.attributes["count"] == "-7"
    assert event.kinds == {"flag": "boolean", "count": "integer"}
    assert stdlib_json.loads(json.encode(event))["count"] == -7


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ('"myext":1.0', "myext"),
        ('"myext":1e2', "myext"),
        ('"myext":2147483648', "myext"),
        ('"myext":{}', "myext"),
        ('"myext":[]', "myext"),
        ('"MyExt":"x"', "MyExt"),
        ('"my_ext":"x"', "my_ext"),
        ('"subject":""', "subject"),
        ('"subject":5', "subject"),
        ('"time":"2018"', "time"),
        ('"data":1,"data_base64":"AA=="', "data"),
        ('"data_base64":"A"', "data_base64"),
        ('"data_base64":5', "data_base64"),
        ('"datacontenttype":"text/plain","data":{"a":1}', "data"),
        ('"datacontenttype":"xyz"', "datacontenttype"),
        ('"myext":"\\u0000"', "myext"),
        ('"id":"2"', "id: stands more than once"),
        ('"\\u0069d":"2"', "id: stands more than once"),
        ('"data":1,"data":2', "data: stands more than once"),
    ],
)
def test_a_broken_member_is_named(members, named):
    with pytest.raises(InvalidEvent, match=named):
        decode(members)


@pytest.mark.parametrize(
    "body",
    [
        '{ %s , "a" : 1 , "a" : 1 }',
        '{%s,"a":12,"a":1}',
        '{%s,"a":1,"a":12}',
        '{"a":"x", %s,"a":{"b":[1,2]}}',
        '{%s,"a":1,"\\u0061":1}',
        '\n{%s,"a":true,"b":"\\"","a":false}\t',
    ],
)
def test_a_name_that_stands_twice_is_found_however_the_body_is_laid_out(body):
    with pytest.raises(InvalidEvent, match="a: stands more than once"):
        json.decode((body % HEAD).encode())


@pytest.mark.parametrize(
    "body",
    [
        '{ %s , "a" : "x" }',
        '\r\n{\t%s\n,\n"a"\n:\n"\\u0078"\n}\n',
        '{%s,"\\u0061":"x","data":{ "a" : "a" , "id" : 1 }}',
        '{%s,"b":"\\"a\\":1,","a":"x"}',
    ],
)
def test_white_space_and_escapes_are_no_repetition(body):
    assert json.decode((body % HEAD).encode()).attributes["a"] == "x"


def test_a_name_inside_the_data_is_no_repetition():
    assert decode('"data":{"id":"2","type":"x"}').id == "1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b"\xff",
        b'{"id":"\xff"}',
        b'{"a":' * 100_000,
        b'{"id":"\\ud800"}',
        b"[" * 10_000,
    ],
)
def test_a_body_that_is_no_envelope_is_an_error_and_never_another_exception(body):
    with pytest.raises(InvalidEvent):
        json.decode(body)


@pytest.mark.parametrize(
    ("content_type", "data", "member"),
    [
        ("application/json", b'{"a":1}', b'"data":{"a":1}'),
        ("model/gltf+json", b"[1]", b'"data":[1]'),
        ("Application/JSON ; x=y", b"1", b'"data":1'),
        ("application/json", b"{broken", b'"data_base64":'),
        ("application/json", b'"\xff"', b'"data_base64":'),
        ("text/plain", b"hello", b'"data":"hello"'),
        ("text/plain", b"\xff", b'"data_base64":'),
        ("application/xml", b"<a/>", b'"data":"<a/>"'),
        ("application/octet-stream", b"hello", b'"data_base64":"aGVsbG8="'),
        (None, b'{"a":1}', b'"data_base64":'),
    ],
)
def test_data_is_written_as_its_type_allows(content_type, data, member):
    attributes = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    if content_type:
        attributes["datacontenttype"] = content_type
    written = json.encode(Event(attributes, data))

    assert member in written
    assert json.decode(written).data == data


def test_a_batch_names_the_index_of_each_bad_member():
    body = ("[{" + HEAD + '},{"id":"2"},{' + HEAD + ',"time":"x"}]').encode()
    with pytest.raises(InvalidEvent) as caught:
        json.decode_batch(body, 10, 1_000)

    assert [fault.partition(":")[0] for fault in caught.value.faults] == [
        "[1].specversion", "[1].source", "[1].type", "[2].time",
    ]  # fmt: skip


def test_a_batch_may_mix_versions_and_may_be_empty():
    mixed = ("[{" + HEAD + "},{" + HEAD.replace("1.0", "0.3") + "}]").encode()

    assert [e.attributes["specversion"] for e in json.decode_batch(mixed, 10, 1_000)] == ["1.0", "0.3"]
    assert json.decode_batch(b"[]", 10, 1_000) == []


def test_a_batch_over_a_limit_is_too_large():
    one = ("{" + HEAD + "}").encode()
    with pytest.raises(EventTooLarge):
        json.decode_batch(b"[" + one + b"," + one + b"]", 1, 1_000)
    with pytest.raises(EventTooLarge):
        json.decode_batch(b"[" + one + b"]", 1, 10)


@pytest.mark.parametrize("member", [b"{}", b'{"":1}'], ids=["empty", "one name"])
def test_a_batch_of_more_objects_than_it_may_have_is_counted_before_any_is_made(
    member: bytes, monkeypatch: pytest.MonkeyPatch
):
    body = b"[" + b",".join([member] * 100_000) + b"]"
    monkeypatch.setattr(json, "_each_members", None)  # what makes them: not even asked

    with pytest.raises(EventTooLarge, match="100000 events"):
        json.decode_each(body, 1_000, 1_000)


def test_one_object_with_a_hundred_thousand_names_is_not_read_as_a_plain_batch(
    monkeypatch: pytest.MonkeyPatch,
):
    body = b"[{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}]"
    monkeypatch.setattr(json, "_each_members", None)

    [found] = json.decode_each(body, 1_000, 10_000)
    assert isinstance(found, EventTooLarge)


@pytest.mark.parametrize(
    ("kind", "text"), [("integer", "http://x/"), ("integer", "9" * 5000), ("boolean", "5")]
)
def test_an_attribute_that_is_not_of_its_type_is_written_as_the_text_it_is(kind: Kind, text: str):
    event = Event({**decode().attributes, "ext": text}, kinds={"ext": kind})

    assert stdlib_json.loads(json.encode(event))["ext"] == text
