"""What a stranger may send to waste time or memory, or to make us raise what nobody catches.

The sizes are such that a step of quadratic or exponential cost would not end within a test run.
"""

from __future__ import annotations

import pytest

from mesh_gateway import attributes
from mesh_gateway.errors import EventError, InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.wire import http, json

HEAD = '"specversion":"1.0","id":"1","source":"/s","type":"t"'
CE = [(b"ce-specversion", b"1.0"), (b"ce-id", b"1"), (b"ce-source", b"/s"), (b"ce-type", b"t")]


def envelope(members: str) -> bytes:
    return ("{" + HEAD + "," + members + "}").encode()


@pytest.mark.parametrize(
    "value", ["a/b" + "; " * 5_000 + "x", "a/b" + ' ;x="' * 5_001, "a/b" + " " * 50_000 + "x"]
)
def test_a_crafted_content_type_is_refused_in_linear_time(value):
    with pytest.raises(InvalidEvent, match="datacontenttype"):
        json.decode(envelope(f'"datacontenttype":{_quoted(value)}'))


@pytest.mark.parametrize("separator", [",", " , "])
def test_an_envelope_of_very_many_names_is_read_in_linear_time(separator):
    names = separator.join(f'"a{n}":"x"' for n in range(50_000))

    assert len(json.decode(envelope(names)).attributes) == 50_004


def test_one_name_very_many_times_is_refused_in_linear_time():
    with pytest.raises(InvalidEvent, match="a: stands more than once"):
        json.decode(envelope(",".join(['"a":"x"'] * 50_000)))


def test_very_many_faults_are_cut_to_a_readable_number():
    with pytest.raises(InvalidEvent) as caught:
        json.decode(envelope(",".join(f'"A{n}":1.5' for n in range(10_000))))

    assert len(caught.value.faults) == json.MAX_FAULTS + 1
    assert "more faults" in caught.value.faults[-1]


def test_a_name_of_any_length_does_not_come_back_in_the_answer():
    with pytest.raises(InvalidEvent) as caught:
        json.decode(envelope(f'"{"N" * 100_000}":1.5,"{"n" * 100_000}":{{}}'))

    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "member", ['"x":', '"data_base64":', '"datacontenttype":"text/plain","data":', '"data":']
)
def test_no_depth_of_nesting_ends_in_another_exception(member):
    for depth in (*range(850, 1_010), 100_000):
        try:
            json.decode(envelope(member + "[" * depth + "]" * depth))
        except EventError:
            continue


@pytest.mark.parametrize(
    "charset",
    [
        "idna",
        "punycode",
        "undefined",
        "unicode_escape",
        "hex",
        "rot13",
        "nosuch",
        "utf-8-sig",
        "utf-16",
        "..",
    ],
)
def test_no_charset_ends_in_another_exception_and_none_changes_the_data(charset):
    kind = f"text/plain;charset={charset}"
    for value in ("a..b", "ž" * 100):
        try:
            event = json.decode(envelope(f'"datacontenttype":"{kind}","data":{_quoted(value)}'))
        except InvalidEvent:
            continue
        assert json.decode(json.encode(event)).data == event.data
    for raw in ("\ufeffž".encode(), "ž".encode(), "ž".encode("utf-16-le")):
        written = json.encode(Event({**_attributes(), "datacontenttype": kind}, raw))
        assert json.decode(written).data == raw


@pytest.mark.parametrize("charset", ["idna", "punycode", "unicode_escape", "raw_unicode_escape"])
def test_a_codec_of_python_that_is_no_charset_is_never_run(charset):
    with pytest.raises(InvalidEvent, match="data: cannot be encoded"):
        json.decode(envelope(f'"datacontenttype":"text/plain;charset={charset}","data":"plain"'))


@pytest.mark.parametrize(
    ("number", "what"),
    [("1" * 6_000, "6,000 digits"), ("1e999", "beyond a double"), ("-0.0", "a zero of a kind")],
)
def test_a_number_that_cannot_be_read_is_named(number, what):
    with pytest.raises(InvalidEvent) as caught:
        json.decode(envelope(f'"big":{number},"other":"x"'))

    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["big"], what


def test_strangers_cannot_make_us_forget_for_good(monkeypatch):
    monkeypatch.setattr(attributes, "plainly_valid", None)  # which remembers nothing
    for n in range(2_000):
        attributes.faults({**_attributes(), f"stranger{n}": "x"})
        http.decode([*CE, (b"x-stranger%d" % n, b"")], b"", http.Limits())
    http.decode([*CE, (b"ce-welcome", b"x")], b"", http.Limits())

    assert "welcome" in attributes._good_names
    assert b"ce-welcome" in http._meanings


def test_what_is_remembered_of_strangers_is_bounded(monkeypatch):
    monkeypatch.setattr(attributes, "plainly_valid", None)
    monkeypatch.setattr(attributes, "_good_names", set())
    monkeypatch.setattr(attributes, "_good_media_types", set())
    monkeypatch.setattr(http, "_meanings", {})
    long = "n" * 8_000
    http.decode([*CE, (b"ce-" + long.encode(), b"x"), (b"content-type", b"a/b")], b"", http.Limits())
    attributes.faults({**_attributes(), long: "x", "datacontenttype": f"a/{long}"})
    for n in range(2_000):
        name = f"stranger{n}"
        attributes.faults({**_attributes(), name: "x", "datacontenttype": f"a/{name}"})
        http.decode([*CE, (b"ce-" + name.encode(), b"x"), (b"x-" + name.encode(), b"")], b"", http.Limits())

    assert len(attributes._good_names) <= attributes._MEMORY
    assert len(attributes._good_media_types) <= attributes._MEMORY
    assert len(http._meanings) <= http._MEMORY
    remembered = [*attributes._good_names, *attributes._good_media_types, *http._meanings]
    assert max(map(len, remembered)) <= 64


@pytest.mark.parametrize(
    "event",
    [
        Event({"id": "1", "datacontenttype": "a\r\nx-evil: 1"}),
        Event({"id": "1"}, headers={"traceparent": "a\r\nx-evil: 1"}),
        Event({"id": "1"}, headers={"traceparent": "a\nx-evil: 1"}),
        Event({"id": "1"}, headers={"traceparent": "a\rx-evil: 1"}),
        Event({"id": "1\r\nx-evil: 1"}),
        Event({"id": "1", "n\r\nx-evil": "1"}),
    ],
)
def test_nothing_in_an_event_can_write_a_header_of_its_own(event):
    head = http.binary_head(event)

    lines = head.split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) == len(event.attributes) + len(event.headers or {})
    assert not any(b"\n" in line or b"\r" in line or line.startswith(b"x-evil") for line in lines)


def _attributes() -> dict[str, str]:
    return {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
