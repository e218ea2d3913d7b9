"""Records that are no events, wrapped."""

from __future__ import annotations

from mesh_gateway.transport.contract import dead_letters_of
from mesh_gateway.wire.unreadable import TYPE, in_pieces, wrapped


def test_a_wrapped_record_keeps_its_bytes_and_says_where_it_came_from():
    event = wrapped(
        b"\x00junk\xff", channel="ns/b:parked:t", position="3:17", why="no ce_id", headers={"a": "\x01é"}
    )

    assert event.data == b"\x00junk\xff"
    assert (event.id, event.source, event.type) == ("3:17", "/ns/b/parked/t", TYPE)
    assert event.attributes["meshreason"] == "unreadable: no ce_id"
    assert event.attributes["meshheaders"] == '{"a": "\\u0001\\u00e9"}'


def test_the_reason_may_hold_anything_a_broken_record_makes_it_say():
    event = wrapped(b"", channel="ns/b", position="1", why="bad \x00\ud800 \n", headers={})

    assert event.attributes["meshreason"].startswith("unreadable: bad")


def test_every_channel_of_a_broker_has_the_same_dead_letters():
    assert dead_letters_of("ns/b") == dead_letters_of("ns/b:parked:t") == "ns/b:dead-letters"


def test_a_record_that_is_too_large_for_a_letter_becomes_several():
    letter = wrapped(b"0123456789", channel="ns/b", position="3:17", why="no ce_id", headers={"a": "b"})

    pieces = in_pieces(letter, 4)

    assert [piece.data for piece in pieces] == [b"0123", b"4567", b"89"]
    assert [piece.attributes["meshpart"] for piece in pieces] == ["1/3", "2/3", "3/3"]
    assert [piece.id for piece in pieces] == ["3:17/1", "3:17/2", "3:17/3"]
    assert {piece.attributes["meshheaders"] for piece in pieces} == {'{"a": "b"}'}
    assert in_pieces(letter, 10) == [letter]
