"""An event from flags, fields and files."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from mesh_gateway.cli import events


def test_fields_become_nested_json_with_numbers_and_booleans():
    fields = ["a.b=1", "a.c=1.5", "ok=true", "none=null", "name=Ada", 'zip="007"', "plain=007", "list=[1]"]

    assert events.fields_object(fields) == {
        "a": {"b": 1, "c": 1.5}, "ok": True, "none": None, "name": "Ada", "zip": "007", "plain": "007", "list": "[1]",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999"])
def test_a_number_that_json_cannot_hold_stays_text(text: str):
    assert events.fields_object([f"n={text}"]) == {"n": text}


@pytest.mark.parametrize(
    "fields", [["a=1", "a=2"], ["a=1", "a.b=2"], ["a.b=1", "a=2"], ["a"], ["=1"], ["a..b=1"]]
)
def test_fields_that_contradict_or_are_none_are_refused(fields: list[str]):
    with pytest.raises(click.BadParameter):
        events.fields_object(fields)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (None, None),
        (b'{"a": 1}', "application/json"),
        (b"hello", "text/plain; charset=utf-8"),
        (b"\xff\x00", "application/octet-stream"),
        (b"\xc3\x28", "application/octet-stream"),
    ],
)
def test_the_content_type_is_guessed_from_the_data(data: bytes | None, kind: str | None):
    assert events.content_type_of(data) == kind


def test_data_comes_from_a_file_or_as_it_is(tmp_path: Path):
    path = tmp_path / "data"
    path.write_bytes(b"\x00\xff")

    assert events.data_of(f"@{path}", ()) == b"\x00\xff"
    assert events.data_of("text", ()) == b"text"
    assert events.data_of(None, ()) is None


def test_data_and_fields_exclude_each_other():
    with pytest.raises(click.UsageError, match="exclude"):
        events.data_of("x", ["a=1"])


def test_a_missing_data_file_is_named():
    with pytest.raises(click.BadParameter, match="/no/such/file: No such file"):
        events.data_of("@/no/such/file", ())


def test_an_extension_is_name_and_value():
    assert events.extensions(["vip=true", "note=a=b"]) == {"vip": "true", "note": "a=b"}


@pytest.mark.parametrize("pair", ["vip", "=x", "type=x", "datacontenttype=text/plain"])
def test_what_is_no_extension_is_refused(pair: str):
    with pytest.raises(click.BadParameter):
        events.extensions([pair])


def test_every_wrong_attribute_is_named():
    with pytest.raises(click.UsageError, match=r"source: .*MyExt"):
        events.build({"type": "t", "source": "a b", "MyExt": "x"})


def test_an_event_file_may_leave_out_id_and_specversion(tmp_path: Path):
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"type": "t", "source": "/s", "vip": True, "data": {"a": 1}}))

    event = events.read(str(path), "EVENT")

    assert (event.type, event.source, event.attributes["vip"]) == ("t", "/s", "true")
    assert event.kinds == {"vip": "boolean"}
    assert event.id


@pytest.mark.parametrize(
    ("text", "why"), [("{", "is not JSON"), ("[]", "one JSON object"), ('{"type": 1}', "source")]
)
def test_a_file_that_holds_no_event_is_refused_with_the_reason(tmp_path: Path, text: str, why: str):
    path = tmp_path / "event.json"
    path.write_text(text)

    with pytest.raises(click.BadParameter, match=why):
        events.read(str(path), "EVENT")
