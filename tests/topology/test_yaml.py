"""YAML 1.2 with limits, and with the place of everything."""

from __future__ import annotations

from typing import Any

import pytest

from mesh_gateway.topology import yaml
from mesh_gateway.topology.faults import Faults, Place
from mesh_gateway.topology.nodes import Document
from mesh_gateway.topology.sources import Source


def read(text: str) -> tuple[list[Document], list[str]]:
    faults = Faults()
    documents = yaml.read(Source("f.yaml", text), faults)
    return documents, [str(fault) for fault in faults.found]


def value(text: str) -> Any:
    (document,), faults = read(f"v: {text}\n")
    assert faults == []
    return document.value["v"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("0777", 777),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("1.2.3", "1.2.3"),
        ("9" * 5_000, float("inf")),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, expected: Any):
    found = value(text)

    assert found == expected
    assert type(found) is type(expected)


def test_keys_are_always_text():
    (document,), _ = read("on: 1\ntrue: 2\n3: 4\n")

    assert document.value == {"on": 1, "true": 2, "3": 4}


def test_a_place_is_that_of_the_value_or_of_the_key_and_falls_back_to_the_nearest_key():
    (document,), _ = read("a:\n  b: [x, {c: d}]\n")

    assert document.place(("a", "b", 1, "c")) == Place("f.yaml", 2, 14)
    assert document.place(("a", "b", 1, "c"), key=True) == Place("f.yaml", 2, 11)
    assert document.place(("a", "b", 7, "z")) == Place("f.yaml", 2, 3)
    assert document.place(("a", "nowhere")) == Place("f.yaml", 1, 1)


def test_places_count_from_the_start_of_the_file_also_behind_a_broken_document():
    documents, faults = read("a: 'b\n---\nc: d\n---\ne: f: g\n---\nh: i\n")

    assert [document.value for document in documents] == [{"c": "d"}, {"h": "i"}]
    assert documents[1].place(("h",)) == Place("f.yaml", 7, 4)
    assert len(faults) == 2


def test_merged_parts_have_the_place_where_they_are_written_and_own_keys_count_more():
    (document,), faults = read("base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\n")

    assert faults == []
    assert document.value["more"] == {"x": 1, "y": 3}
    assert document.place(("more", "x")) == Place("f.yaml", 1, 14)
    assert document.place(("more", "y")) == Place("f.yaml", 4, 6)


def test_of_several_merged_objects_the_first_counts_most():
    (document,), _ = read("a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc: {<<: [*a, *b]}\n")

    assert document.value["c"] == {"x": 1, "y": 3}


def test_every_duplicate_key_is_named_with_the_place_of_the_first():
    _, faults = read("a: 1\nb: {c: 1, c: 2}\na: 3\n")

    assert [fault.partition(" (mgw")[0] for fault in faults] == [
        "f.yaml:3:1 MG003 error 'a' is already set at f.yaml:1:1; only one can count",
        "f.yaml:2:11 MG003 error 'c' is already set at f.yaml:2:5; only one can count",
    ]


def test_an_alias_bomb_is_refused_before_anything_is_expanded():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 60)]

    documents, faults = read("\n".join(lines))

    assert documents == []
    assert "more than 200,000 values" in faults[0]


def test_a_bomb_of_merge_keys_is_refused_as_well():
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 30)]

    documents, faults = read("\n".join(lines))

    assert documents == []
    assert "MG006" in faults[0]


def test_depth_by_aliases_counts_like_depth_by_brackets():
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 80)]

    _, faults = read("\n".join(lines))

    assert "nested deeper than 64 levels" in faults[0]


@pytest.mark.parametrize("text", ["[" * 200_000, "{a: " * 100_000, "- " * 100_000, "a: &a [*a]"])
def test_what_has_no_end_is_refused_without_recursion(text: str):
    documents, faults = read(text)

    assert documents == []
    assert len(faults) == 1


def test_ten_megabytes_is_the_most_that_is_parsed():
    _, faults = read("a" * (yaml.MAX_BYTES + 1))

    assert "MG006" in faults[0]


def test_a_byte_order_mark_and_windows_line_ends_are_read():
    (document,), _ = read("\ufeffa: b\r\nc: d\r\n")

    assert document.value == {"a": "b", "c": "d"}
    assert document.place(("c",), key=True) == Place("f.yaml", 2, 1)


def test_empty_documents_are_nothing():
    documents, faults = read("---\n---\n# only a comment\n---\na: 1\n...\n")

    assert [document.value for document in documents] == [{"a": 1}]
    assert faults == []
