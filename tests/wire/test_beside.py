"""What travels beside an event."""

from __future__ import annotations

import pytest

from mesh_gateway.wire import beside


def test_kinds_and_headers_come_back_as_they_went():
    assert beside.kinds(beside.written({"flag": "boolean", "n": "integer"})) == {
        "flag": "boolean",
        "n": "integer",
    }
    assert beside.headers(beside.written({"traceparent": "00-é"}).decode()) == {"traceparent": "00-é"}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"a": 1}', b"\xff", b"{}", "\ud800", b'{"a": "float"}'])
def test_what_somebody_else_wrote_is_as_good_as_nothing(text):
    assert beside.kinds(text) is None


def test_headers_that_are_no_texts_are_as_good_as_nothing():
    assert beside.headers(b'{"a": {"b": 1}}') is None
    assert beside.headers(b"nonsense") is None
