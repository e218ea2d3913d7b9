"""Attributes that the native part calls plainly valid have no fault in Python, and those of the usual event are called so."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from mesh_gateway import attributes, native
from tests.faults.scale import scaled
from tests.native.attributes import USUAL, event
from tests.native.records import NAMES, VALUES

plainly_valid = native.PARTS.plainly_valid
pytestmark = pytest.mark.skipif(plainly_valid is None, reason=str(native.PARTS))

CHARACTERS = [chr(code) for code in (*range(0x180), 0x7FF, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF, 0x1F600, 0x1FFFE)]


def is_plain(given: dict[str, str]) -> bool:
    """Whether the native part says yes. If it does, Python finds no fault."""
    assert plainly_valid is not None
    if not plainly_valid(given):
        return False
    assert attributes._all_faults(given) == []
    return True


def test_the_usual_event_is_plainly_valid():
    assert is_plain(USUAL)
    assert is_plain(dict(list(USUAL.items())[:4]))
    assert is_plain(USUAL | {"datacontenttype": "application/json; charset=utf-8"})
    assert is_plain({name: USUAL[name] for name in reversed(USUAL)})


@pytest.mark.parametrize("rest", ["T23:59:59Z", "T00:00:00.5+23:59", "T12:30:00-01:00"])
def test_the_usual_event_is_of_any_day_that_every_year_has_and_of_any_zone(rest: str):
    days = [f"2023-{month:02}-{day:02}" for month in range(14) for day in range(33)]
    there = {str(date(2023, 1, 1) + timedelta(number)) for number in range(365)}

    assert {day for day in days if is_plain(USUAL | {"time": day + rest})} == there
    assert {day for day in days if attributes._USUAL_TIME(day + rest)} == there


@pytest.mark.parametrize(
    "time", ["T24:00:00Z", "T12:60:00Z", "T12:00:60Z", "T12:00:00", "T12:00:00+24:00", "T12:00:00+01:60",
             "T12:00:00.Z", "T12:00:00.+01:00", "T12:00:00.5x+01:00", "T12:00:00 01:00", "T12:00+01:00", "T12:00:00+01:00Z", "+01:00", "Z"]
)  # fmt: skip
def test_a_moment_that_is_not_usual_is_left_to_the_rules(time: str):
    assert not is_plain(USUAL | {"time": f"2026-11-30{time}"})
    assert attributes._USUAL_TIME(f"2026-11-30{time}") is None


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
def test_an_event_without_a_required_attribute_is_not(name: str):
    assert not is_plain({other: value for other, value in USUAL.items() if other != name})


@pytest.mark.parametrize(
    "name", [*USUAL, "datacontenttype", "schemaurl", "datacontentencoding", "x", "data", "", "A", "é"]
)
def test_any_character_under_any_name_is_valid_in_python_too_or_takes_a_closer_look(name: str):
    plain = 0
    for character in CHARACTERS:
        for value in (character, "a" + character, USUAL.get(name, "a/b") + character):
            plain += is_plain(USUAL | {name: value})
    assert plain < 3 * len(CHARACTERS)


def test_any_character_in_a_name_takes_a_closer_look_unless_python_takes_it():
    plain = sum(is_plain(USUAL | {"x" + character: "y"}) for character in CHARACTERS)

    assert plain == 36


def test_any_value_under_any_name_is_valid_in_python_too_or_takes_a_closer_look():
    texts = [value.decode("latin-1") for value in VALUES if value is not None]
    for name in (*(name.decode("latin-1") for name in NAMES), *USUAL, "datacontenttype"):
        for text in texts:
            is_plain(USUAL | {name.removeprefix("ce_"): text})


def test_generated_events_that_it_calls_plainly_valid_have_no_fault():
    chance = random.Random(7)
    plain = sum(is_plain(event(chance)) for _ in range(scaled(2_000, 60_000)))

    assert plain > 100


@pytest.mark.parametrize("given", [None, [], {1: "a"}, {"a": 1}, {"a": None}, {"a": b"b"}])
def test_what_are_no_attributes_is_not_plainly_valid_and_harms_nobody(given: object):
    assert plainly_valid is not None
    assert plainly_valid(given) is False  # type: ignore[arg-type]
