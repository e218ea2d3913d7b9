"""A broker's door: hops, arrival time, what is taken off, and what "accepted" means."""

from __future__ import annotations

from typing import Any

import pytest

from mesh_gateway.broker import ttl
from mesh_gateway.broker.broker import Broker
from mesh_gateway.broker.sink import BrokerSink
from mesh_gateway.delivery.sink import ACCEPTED, Outcome, Refused, Retry
from mesh_gateway.errors import ConnectionLost, HopsExhausted, MeshError
from mesh_gateway.event import Event
from mesh_gateway.transport.batch import Done


class Channel:
    """A channel whose publishes end at once, as the test says."""

    def __init__(self) -> None:
        self.stored: list[Event] = []
        self.error: MeshError | None = None

    def publish(self, event: Event, done: Done) -> None:
        self.publish_all([event], done)

    def publish_all(self, events: list[Event], done: Done) -> None:
        if self.error is None:
            self.stored += events
        done(self.error)


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def broker(channel: Channel) -> Broker:
    return Broker("ns/b", channel, now=lambda: 1_767_225_600.25)  # type: ignore[arg-type]  # the part a broker uses


def event(**attributes: Any) -> Event:
    return Event.new(type="t", source="/s", id="1", **attributes)


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, "255"), ("255", "254"), ("2", "1"), ("many", "255"), ("1.5", "255"), ("999", "255")],
)
def test_the_hop_counter_goes_down_by_one_and_nonsense_starts_anew(before, after):
    assert ttl.spend(before) == after


@pytest.mark.parametrize("spent", ["1", "0", "-3"])
def test_an_event_with_no_hops_left_is_refused_and_not_stored(broker, channel, spent):
    with pytest.raises(HopsExhausted, match="loop"):
        broker.accept([event(knativebrokerttl=spent)], lambda error: None)

    assert channel.stored == []


def test_one_spent_event_refuses_the_whole_batch(broker, channel):
    with pytest.raises(HopsExhausted):
        broker.accept([event(), event(knativebrokerttl="1")], lambda error: None)

    assert channel.stored == []


def test_arrival_time_and_hops_are_put_on_and_a_producers_are_overwritten(broker, channel):
    broker.accept([event(knativearrivaltime="x", knativebrokerttl=7)], lambda error: None)

    (stored,) = channel.stored
    assert stored.attributes["knativearrivaltime"] == "2026-01-01T00:00:00.250000Z"
    assert stored.attributes["knativebrokerttl"] == "6"
    assert stored.kinds is None


def test_reserved_attributes_of_a_producer_are_taken_off_and_counted(broker, channel):
    broker.accept([event(meshtrigger="forged", meshattempts=3, mine=True)], lambda error: None)

    (stored,) = channel.stored
    assert "meshtrigger" not in stored.attributes
    assert stored.kinds == {"mine": "boolean"}
    assert broker.counters.stripped == 1


def test_an_event_from_inside_keeps_them(broker, channel):
    broker.accept_inside(event(meshtrigger="ns/t"), lambda error: None)

    assert channel.stored[0].attributes["meshtrigger"] == "ns/t"


def test_what_is_not_stored_is_not_counted_as_accepted(broker, channel):
    channel.error = ConnectionLost("down")
    told: list[MeshError | None] = []
    broker.accept([event(), event()], told.append)

    assert told == [channel.error]
    assert broker.counters.accepted == 0


def test_a_batch_has_one_ending_and_counts_every_event(broker, channel):
    told: list[MeshError | None] = []
    broker.accept([event(), event(), event()], told.append)

    assert told == [None]
    assert broker.counters.accepted == 3


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, ACCEPTED), (ConnectionLost("down", retry_after=3), Retry("broker ns/b: down", None, 3))],
)
def test_a_broker_as_a_sink_says_how_it_went(broker, channel, error, outcome):
    channel.error = error
    ended: list[Outcome] = []
    BrokerSink(broker, "http://x/ns/b").send(event(), None, lambda context, how: ended.append(how))

    assert ended == [outcome]


async def test_a_broker_as_a_sink_refuses_an_event_without_hops_but_not_before_send_returns(broker):
    import asyncio

    ended: list[Outcome] = []
    BrokerSink(broker, "http://x/ns/b").send(
        event(knativebrokerttl="1"), None, lambda context, how: ended.append(how)
    )
    assert ended == []
    await asyncio.sleep(0)

    (outcome,) = ended
    assert isinstance(outcome, Refused)
    assert outcome.code == 400
