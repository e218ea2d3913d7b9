"""The display of `dev`: what arrives can be read and cannot take over the terminal."""

from __future__ import annotations

from mesh_gateway.event import Event
from mesh_gateway.gateway.display import render


def test_attributes_and_data_are_shown_and_the_hop_counter_is_not():
    text = render(Event.new(type="hello", source="/me", id="1", knativebrokerttl="255", data=b'{"a":1}'))

    assert "type: hello" in text
    assert 'data: {"a":1}' in text
    assert "knativebrokerttl" not in text


def test_control_characters_do_not_reach_the_terminal():
    text = render(Event.new(type="t", source="/s", data=b"\x1b[2J\x07"))

    assert "\x1b" not in text
    assert "\x07" not in text
