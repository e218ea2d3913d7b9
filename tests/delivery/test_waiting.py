"""Retries that are due later than the transport lets a copy be held."""

from __future__ import annotations

import pytest

from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.sink import Refused, Retry
from mesh_gateway.delivery.waiting import hold_limits, marked, unmarked
from mesh_gateway.delivery.window import Window
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from tests.delivery.conftest import Rig

POLICY = RetryPolicy(retry=10, backoff="linear", delay=20.0, jitter=False)
UNAVAILABLE = Retry("status 503", 503)


def test_a_watermark_may_be_held_back_for_a_moment_and_a_lease_for_its_length():
    assert hold_limits("individual", None) == (float("inf"), float("inf"))
    assert hold_limits("individual", 1200.0) == (1200.0, 1200.0)
    assert hold_limits("watermark", None) == (30.0, float("inf"))


async def test_a_retry_due_too_late_waits_in_the_parked_channel_with_its_attempts():
    rig = Rig(policy=POLICY, hold_limits=(30.0, float("inf")))
    rig.parked.by_itself = False
    rig.offer("a")
    rig.sink.end(UNAVAILABLE)  # due in 20 s: held
    rig.clock.advance(20)
    assert rig.finished == []

    rig.sink.end(UNAVAILABLE)  # due in 40 s more: too long

    assert rig.finished == [], "not before it is durable in the parked channel"
    rig.parked.end()
    assert rig.finished == ["a"]
    [parked] = rig.parked.stored
    assert parked.attributes["meshretried"] == "2"
    assert parked.attributes["meshdue"] == "1000060.000"


async def test_it_goes_on_with_its_attempts_when_its_moment_has_come_and_shows_none_of_it():
    rig = Rig(policy=POLICY, hold_limits=(30.0, float("inf")))
    event = Event.new(type="t", source="/s", id="a", ext="x")
    back = Delivery(marked(event, 2, 1_000_000 + 15), token="p", position="0", pending=1)

    rig.trigger._take(back, rig.finish)
    assert rig.sink.attempts == [], "not due yet"
    rig.clock.advance(15)

    [attempt] = rig.sink.attempts
    assert attempt.event.attributes == event.attributes
    rig.sink.end(UNAVAILABLE)  # the third: due in 60 s, and a parked channel holds back nobody
    rig.clock.advance(60)
    assert len(rig.sink.attempts) == 1
    assert rig.parked.stored == []


async def test_an_ordered_trigger_holds_its_copies_because_others_would_overtake_them():
    rig = Rig(policy=POLICY, window=Window(ordered=True), hold_limits=(1.0, 1.0))
    rig.offer("a", key="k")

    rig.sink.end(UNAVAILABLE)

    assert rig.parked.stored == []


def test_a_clock_that_jumped_makes_no_wait_longer_than_the_longest_and_no_storm():
    event = Event.new(type="t", source="/s", id="a")

    assert unmarked(marked(event, 1, 10_000_000.0), now=0.0, longest=3600.0)[2] == 3600.0
    assert unmarked(marked(event, 1, 0.0), now=10_000_000.0, longest=3600.0)[2] == 0.0
    assert unmarked(event, now=0.0, longest=1.0) == (event, 0, 0.0)


@pytest.mark.parametrize(
    "marks", [("many", "1000000"), ("1", "soon"), ("1", "nan"), ("9" * 5000, "1000000"), ("-9", "0")]
)
async def test_marks_that_a_producer_has_set_beside_the_gateway_keep_no_copy_from_being_sent(
    marks: tuple[str, str],
):
    rig = Rig(policy=POLICY, hold_limits=(30.0, float("inf")))
    event = Event.new(type="t", source="/s", id="a")
    foreign = event.with_attributes(dict(zip(("meshretried", "meshdue"), marks, strict=True)))

    rig.trigger._take(Delivery(foreign, token="p", position="0", pending=1), rig.finish)

    [attempt] = rig.sink.attempts
    assert attempt.event.attributes == event.attributes
    rig.sink.end(Refused("status 400", 400))
    assert rig.letters.stored[0].attributes["meshattempts"] in ("1", "2")
