"""The wall clock jumps by an hour or a day, either way: waits keep to the clock that cannot jump, and nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mesh_gateway.delivery import http
from mesh_gateway.delivery.connection import Response
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.sink import Retry
from mesh_gateway.delivery.waiting import marked
from mesh_gateway.delivery.window import Window
from mesh_gateway.event import Event
from mesh_gateway.transport.contract import Delivery
from tests.delivery.conftest import Rig

HOUR, DAY = 3600.0, 86_400.0
JUMPS = (HOUR, DAY, -HOUR, -DAY)

UNAVAILABLE = Retry("status 503", 503)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_retry_that_is_held_is_due_when_it_would_have_been(jump: float):
    rig = Rig(policy=RetryPolicy(retry=5, backoff="linear", delay=10.0, jitter=False))
    rig.offer("a")
    rig.sink.end(UNAVAILABLE)

    rig.jump(jump)
    rig.clock.advance(9.9)
    assert rig.sink.attempts == [], "early"
    rig.clock.advance(0.2)

    assert rig.open == ["a"]
    assert rig.sink.total == 2


@pytest.mark.parametrize("jump", [HOUR, DAY])
def test_parked_retries_that_a_jump_makes_due_come_no_more_at_once_than_ever(jump: float):
    rig = Rig(policy=RetryPolicy(retry=5, delay=1.0), window=Window(parallelism=2))
    due = [rig.parked_copy(f"e{n}", seconds=HOUR / 2) for n in range(10)]
    rig.jump(jump)

    for delivery in due:
        rig.trigger._take(delivery, rig.finish)

    assert len(rig.open) == 2
    assert rig.trigger.held == 10


@pytest.mark.parametrize("jump", [-HOUR, -DAY])
def test_a_parked_retry_waits_no_longer_than_the_longest_wait_there_is(jump: float):
    rig = Rig(policy=RetryPolicy(retry=5, delay=1.0, backoff_max=60.0))
    delivery = rig.parked_copy("a", seconds=30.0)
    rig.jump(jump)

    rig.trigger._take(delivery, rig.finish)
    rig.clock.advance(59.9)
    assert rig.sink.attempts == []
    rig.clock.advance(0.2)

    assert rig.open == ["a"]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_retry_that_is_parked_comes_back_after_its_wait_or_the_longest_and_with_its_attempts(jump: float):
    rig = Rig(
        policy=RetryPolicy(retry=3, backoff="linear", delay=40.0, backoff_max=40.0, jitter=False),
        hold_limits=(30.0, float("inf")),
    )
    rig.offer("a")
    rig.sink.end(UNAVAILABLE)
    [parked] = rig.parked.stored
    rig.jump(jump)

    rig.trigger._take(Delivery(parked, token="p", position="0", pending=1), rig.finish)
    rig.clock.advance(40.1)

    [attempt] = rig.sink.attempts
    assert attempt.context.attempt == 2


@pytest.mark.parametrize("jump", JUMPS)
def test_a_date_in_retry_after_asks_for_no_more_than_its_cap_and_never_for_less_than_nothing(
    jump: float, monkeypatch: pytest.MonkeyPatch
):
    asked = datetime.now(UTC) + timedelta(seconds=100)

    class Jumped(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(seconds=jump)

    monkeypatch.setattr(http, "datetime", Jumped)
    header = (b"retry-after", format_datetime(asked, usegmt=True).encode())
    after = http.retry_after(Response(503, [header], b""))
    policy = RetryPolicy(retry=1, delay=1.0, backoff="linear", jitter=False, retry_after_max=600.0)

    assert after is not None
    assert policy.wait(1, after, 0.5) == (1.0 if jump > 0 else 600.0)


def test_the_mark_of_a_parked_retry_is_a_moment_of_the_wall_clock():
    """Another process takes it back, whose other clock began at some other time."""
    event = Event.new(type="t", source="/s", id="a")

    assert marked(event, 1, 1_000.0).attributes["meshdue"] == "1000.000"
