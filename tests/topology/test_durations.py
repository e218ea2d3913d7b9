"""Durations of documents."""

from __future__ import annotations

import pytest

from mesh_gateway.topology import durations


@pytest.mark.parametrize(
    ("text", "expected"),
    [("PT0.2S", 0.2), ("PT10M", 600.0), ("P1D", 86_400.0), ("P1DT1H1M1S", 90_061.0), ("PT0S", 0.0)],
)
def test_iso_8601_durations_are_seconds(text: str, expected: float):
    assert durations.seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("500ms", "did you mean 'PT0.5S'?"),
        ("1m30s", "did you mean 'PT90S'?"),
        ("-PT1S", "must not be negative"),
        ("P1M", "write days"),
        ("P2W", "write days"),
        ("", "such as PT0.2S"),
        ("PT", "such as PT0.2S"),
        ("P", "such as PT0.2S"),
        ("PT1S" * 1000, "such as PT0.2S"),
        ("PT٣S", "such as PT0.2S"),
        ("P9999999D", "longer than a year"),
    ],
)
def test_anything_else_is_refused_with_a_hint(text: str, hint: str):
    with pytest.raises(ValueError, match=r"duration|year") as error:
        durations.seconds(text)

    assert hint in str(error.value)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize(
    ("length", "text"), [(0.2, "PT0.2S"), (90.0, "PT90S"), (0.0, "PT0S"), (100.0, "PT100S")]
)
def test_seconds_are_written_as_short_as_they_can_be(length: float, text: str):
    assert durations.iso(length) == text
