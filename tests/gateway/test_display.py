"""The display of `dev`: what arrives can be read and cannot take over the terminal."""

from __future__ import annotations

import asyncio
import io

from mesh_gateway.delivery.sink import ACCEPTED, Outcome
from mesh_gateway.event import Event
from mesh_gateway.gateway.display import DisplaySink, render


def test_attributes_and_data_are_shown_and_the_hop_counter_is_not():
    text = render(Event.new(type="hello", source="/me", id="1", knativebrokerttl="255", data=b'{"a":1}'))

    assert "type: hello" in text
    assert 'data: {"a":1}' in text
    assert "knativebrokerttl" not in text


def test_control_characters_do_not_reach_the_terminal():
    text = render(Event.new(type="t", source="/s", data=b"\x1b[2J\x07"))

    assert "\x1b" not in text
    assert "\x07" not in text


async def test_a_terminal_that_lacks_a_letter_shows_all_others():
    shown = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    event = Event.new(type="t", source="/s", id="1", data="für 10 €".encode())
    DisplaySink("display:", shown).send(event, ended, asyncio.Future.set_result)

    assert await ended is ACCEPTED
    assert "data: für 10 ?" in shown.buffer.getvalue().decode("latin-1")
