"""What a trigger does with each ending of an attempt, and that nothing is finished without a durable end."""

from __future__ import annotations

import asyncio
import base64

import pytest

from mesh_gateway.delivery.deadletter import ERROR_ATTRIBUTES
from mesh_gateway.delivery.insist import FIRST_WAIT
from mesh_gateway.delivery.policy import RetryPolicy
from mesh_gateway.delivery.sink import ACCEPTED, Accepted, Refused, Retry
from mesh_gateway.delivery.window import Window
from mesh_gateway.errors import ConnectionLost, EventTooLarge, HopsExhausted
from mesh_gateway.event import Event, Kind
from mesh_gateway.testing.fakes import ScriptedSink
from mesh_gateway.transport.contract import Delivery

TWO_RETRIES = RetryPolicy(retry=2, backoff="linear", delay=1, jitter=False)


async def test_an_accepted_event_is_finished(rig):
    r = rig()
    r.offer("1")
    assert r.finished == []
    r.sink.end(ACCEPTED)

    assert r.finished == ["1"]
    assert r.trigger.counters.delivered == 1
    assert r.trigger.held == 0


async def test_no_more_attempts_than_parallelism_are_under_way(rig):
    r = rig(window=Window(parallelism=2))
    r.offer("1", "2", "3")
    assert r.open == ["1", "2"]
    r.sink.end(ACCEPTED)

    assert r.open == ["2", "3"]


async def test_a_retriable_failure_is_tried_again_when_it_is_due(rig):
    r = rig(policy=TWO_RETRIES)
    r.offer("1")
    r.sink.end(Retry("status 503", 503))
    assert r.open == []
    r.clock.advance(0.9)
    assert r.open == []
    r.clock.advance(0.2)
    assert r.open == ["1"]
    r.sink.end(ACCEPTED)

    assert r.finished == ["1"]
    assert r.trigger.counters.retried == 1


async def test_a_waiting_retry_holds_no_place_of_a_neighbour(rig):
    r = rig(policy=TWO_RETRIES, window=Window(parallelism=1))
    r.offer("1", "2")
    r.sink.end(Retry("timeout"))

    assert r.open == ["2"]


async def test_retry_after_stretches_the_wait(rig):
    r = rig(policy=TWO_RETRIES)
    r.offer("1")
    r.sink.end(Retry("status 429", 429, after=30))
    r.clock.advance(29)
    assert r.open == []
    r.clock.advance(2)

    assert r.open == ["1"]


async def test_when_the_tries_are_spent_the_event_is_a_dead_letter(rig):
    r = rig(policy=TWO_RETRIES)
    r.offer("1")
    for _ in range(3):
        r.sink.end(Retry("status 503", 503, body=b"busy"))
        r.clock.advance(10)

    (letter,) = r.letters.stored
    assert r.finished == ["1"]
    assert letter.attributes["knativeerrordest"] == "http://subscriber.test/"
    assert letter.attributes["knativeerrorcode"] == "503"
    assert base64.b64decode(letter.attributes["knativeerrordata"]) == b"busy"
    assert letter.attributes["meshtrigger"] == "ns/t"
    assert letter.attributes["meshcluster"] == "here"
    assert letter.attributes["meshattempts"] == "3"
    assert letter.attributes["meshreason"] == "status 503"


@pytest.mark.parametrize("size", [0, 1, 767, 768, 769, 1023, 1024, 1025, 1_048_576])
async def test_error_data_is_the_first_kilobyte_and_absent_when_empty(rig, size):
    r = rig()
    r.offer("1")
    r.sink.end(Refused("status 400", 400, b"x" * size))

    data = r.letters.stored[0].attributes.get("knativeerrordata")
    assert (data is None) if size == 0 else (len(base64.b64decode(data)) == min(size, 1024))


async def test_without_a_response_a_dead_letter_has_no_code(rig):
    r = rig()
    r.offer("1")
    r.sink.end(Retry("timeout"))

    assert "knativeerrorcode" not in r.letters.stored[0].attributes


async def test_a_refusal_is_not_tried_again(rig):
    r = rig(policy=TWO_RETRIES)
    r.offer("1")
    r.sink.end(Refused("status 422", 422))
    r.clock.advance(100)

    assert r.sink.total == 1
    assert r.finished == ["1"]


async def test_a_dead_letter_goes_to_the_sink_first(rig):
    letters = ScriptedSink()
    r = rig(dead_letter_sink=letters)
    r.offer("1")
    r.sink.end(Refused("status 400", 400))
    assert r.finished == []
    letters.end(ACCEPTED)

    assert r.finished == ["1"]
    assert r.letters.stored == []
    assert r.trigger.counters.dead_lettered == 1


async def test_a_failing_dead_letter_sink_is_retried_and_then_the_channel_keeps_the_event(rig):
    letters = ScriptedSink()
    r = rig(policy=TWO_RETRIES, dead_letter_sink=letters)
    r.offer("1")
    r.sink.end(Refused("status 400", 400))
    for _ in range(3):
        letters.end(Retry("status 503", 503))
        r.clock.advance(10)

    assert letters.total == 3
    assert r.finished == ["1"]
    assert r.letters.stored[0].attributes["meshreason"] == "status 400; dead letter sink: status 503"


async def test_while_no_dead_letter_can_be_kept_the_event_is_not_finished(rig):
    r = rig()
    r.letters.error = ConnectionLost("down")
    r.offer("1")
    r.sink.end(Refused("status 400", 400))
    for _ in range(5):
        r.clock.advance(60)
    assert r.finished == []

    r.letters.error = None
    r.clock.advance(60)
    assert r.finished == ["1"]
    assert len(r.letters.stored) == 1


async def test_a_dead_letter_that_can_never_be_kept_leaves_the_event_unsettled(rig):
    r = rig()
    r.letters.error = EventTooLarge("the error attributes make it too large")
    r.offer("1")
    r.sink.end(Refused("status 400", 400))
    r.clock.advance(600)

    assert r.finished == []
    assert r.trigger.counters.stored_dead_letters == 0


async def test_a_copy_that_can_never_be_parked_stays_unsettled(rig):
    r = rig(window=Window(events=1))
    r.parked.error = EventTooLarge("too large")
    r.offer("1", "2")
    r.clock.advance(600)

    assert "2" not in r.finished


async def test_a_reply_is_durable_before_its_cause_is_finished(rig):
    r = rig()
    r.broker.by_itself = False
    r.offer("1")
    r.sink.end(Accepted(200, Event.new(type="reply", source="/r", id="r1")))
    assert r.finished == []
    r.broker.end()

    assert r.finished == ["1"]
    assert [e.id for e in r.broker.stored] == ["r1"]
    assert r.trigger.counters.replied == 1


async def test_a_reply_is_stored_again_until_it_is_durable_and_the_subscriber_is_asked_once(rig):
    r = rig(policy=TWO_RETRIES)
    r.broker.error = ConnectionLost("down")
    r.offer("1")
    r.sink.end(Accepted(200, Event.new(type="reply", source="/r", id="r1")))
    r.clock.advance(5)
    assert r.finished == []
    r.broker.error = None
    r.clock.advance(60)

    assert r.finished == ["1"]
    assert r.sink.total == 1


async def test_a_reply_gets_the_hops_of_its_cause(rig):
    r = rig()
    event = Event.new(type="t", source="/s", id="1", knativebrokerttl="7")
    from mesh_gateway.transport.contract import Delivery

    r.trigger.offer(Delivery(event, token=1, position="1", pending=1), r.finish)
    r.sink.end(Accepted(200, Event.new(type="reply", source="/r", id="r1")))

    assert r.broker.stored[0].attributes["knativebrokerttl"] == "7"


async def test_a_reply_with_no_hops_left_makes_its_cause_a_dead_letter(rig):
    r = rig()

    def refuse(event, done):
        raise HopsExhausted("spent")

    r.trigger._attempts._replies._store._publish = refuse
    r.offer("1")
    r.sink.end(Accepted(200, Event.new(type="reply", source="/r", id="r1")))

    assert r.finished == ["1"]
    assert "reply refused: spent" in r.letters.stored[0].attributes["meshreason"]


async def test_a_full_window_parks_and_finishes_when_the_copy_is_durable(rig):
    r = rig(window=Window(events=2, parallelism=1))
    r.parked.by_itself = False
    r.offer("1", "2", "3")
    assert r.trigger.held == 2
    assert r.finished == []
    r.parked.end()

    assert r.finished == ["3"]
    assert r.trigger.counters.parked == 1


async def test_a_window_is_full_by_bytes_too_but_never_too_small_for_one_event(rig):
    r = rig(window=Window(bytes=1, parallelism=1))
    r.offer("1", "2", data=b"x" * 100)

    assert r.trigger.held == 1
    assert [e.id for e in r.parked.stored] == ["2"]


async def test_a_copy_that_cannot_be_parked_is_not_finished(rig):
    r = rig(window=Window(events=1))
    r.parked.error = ConnectionLost("down")
    r.offer("1", "2")
    r.clock.advance(120)
    assert "2" not in r.finished

    r.parked.error = None
    r.clock.advance(60)
    assert "2" in r.finished


async def test_overflow_block_holds_the_reader_and_parks_nothing(rig):
    r = rig(window=Window(events=2, overflow="block"))
    r.offer("1", "2", "3")

    assert r.parked.stored == []
    assert r.gate._holders
    r.sink.end(ACCEPTED)
    r.sink.end(ACCEPTED)
    assert not r.gate._holders


async def test_ordered_sends_one_at_a_time_for_each_key(rig):
    r = rig(window=Window(ordered=True))
    r.offer("a1", "a2", key="a")
    r.offer("b1", key="b")
    assert r.open == ["a1", "b1"]
    r.sink.end(ACCEPTED)

    assert r.open == ["b1", "a2"]


async def test_a_stuck_key_blocks_only_itself_and_keeps_its_order(rig):
    r = rig(window=Window(ordered=True), policy=TWO_RETRIES)
    r.offer("a1", "a2", key="a")
    r.offer("b1", "b2", key="b")
    r.sink.end(Retry("status 503", 503))
    r.sink.end(ACCEPTED)
    r.sink.end(ACCEPTED)
    assert r.finished == ["b1", "b2"]
    r.clock.advance(2)
    r.sink.end(ACCEPTED)
    r.sink.end(ACCEPTED)

    assert r.finished == ["b1", "b2", "a1", "a2"]


async def test_ordered_keeps_parking_until_what_is_parked_has_come_back(rig):
    r = rig(window=Window(events=1, ordered=True))
    r.offer("1", "2", key="k")
    r.sink.end(ACCEPTED)
    r.offer("3", key="k")

    assert [e.id for e in r.parked.stored] == ["1", "2", "3"]
    assert r.finished == ["1", "2", "3"]


async def test_before_a_copy_is_parked_those_of_its_key_that_are_held_are_parked_as_well(rig):
    r = rig(window=Window(events=3, ordered=True))
    r.offer("a1", "a2", key="a")
    r.offer("b1", key="b")
    r.offer("a3", "a4", key="a")

    assert [e.id for e in r.parked.stored] == ["a1", "a2", "a3", "a4"]
    assert r.finished == ["a1", "a2", "a3", "a4"]
    assert r.open == ["a1", "b1"]


async def test_a_held_copy_is_settled_when_its_twin_is_durable_and_not_before(rig):
    r = rig(window=Window(events=1, ordered=True))
    r.parked.by_itself = False
    r.offer("a1", "a2", key="a")
    assert r.finished == []

    r.parked.end()
    assert r.finished == ["a1"]
    r.sink.end(ACCEPTED)

    assert r.finished == ["a1"]


async def test_a_held_copy_that_ends_before_its_twin_is_durable_is_settled_once(rig):
    r = rig(window=Window(events=1, ordered=True))
    r.parked.by_itself = False
    r.offer("a1", "a2", key="a")
    r.sink.end(ACCEPTED)
    assert r.finished == ["a1"]
    ended: list[str] = []

    r.parked.end()
    parked_again(r, r.parked.stored[0], ended)

    assert r.finished == ["a1"]
    assert (ended, r.open) == (["a1"], [])


def parked_again(r, event: Event, finished: list[str]) -> None:
    """A parked copy comes back."""
    r.trigger._take(
        Delivery(event, None, "0", pending=1), lambda delivery: finished.append(delivery.event.id)
    )


async def test_what_is_held_and_parked_is_sent_once_and_ends_in_both_places(rig):
    r = rig(window=Window(events=2, ordered=True))
    r.offer("a1", "a2", "a3", key="a")
    ended: list[str] = []
    first, second, third = r.parked.stored

    parked_again(r, first, ended)
    assert ended == []
    r.sink.end(ACCEPTED)
    assert ended == ["a1"]
    r.sink.end(ACCEPTED)
    parked_again(r, second, ended)
    assert ended == ["a1", "a2"]
    parked_again(r, third, ended)
    assert r.open == ["a3"]
    assert r.trigger.held == 1


async def test_a_twin_that_lies_there_twice_ends_twice_and_is_never_sent(rig):
    r = rig(window=Window(events=1, ordered=True))
    r.offer("a1", "a2", key="a")
    twin = r.parked.stored[0]
    ended: list[str] = []
    parked_again(r, twin, ended)
    parked_again(r, twin, ended)
    assert ended == []
    r.sink.end(ACCEPTED)
    assert ended == ["a1", "a1"]
    parked_again(r, twin, ended)  # the settle of one of them was lost

    assert ended == ["a1", "a1", "a1"]
    assert (r.open, r.trigger.held) == ([], 0)


async def test_a_copy_behind_a_redriven_one_does_not_hide_those_before_it(rig):
    r = rig(window=Window(events=2, ordered=True))
    r.offer("a1", key="a")
    r.trigger._take(
        Delivery(Event.new(type="t", source="/s", id="old", partitionkey="a"), "old", "0", pending=1),
        r.finish,
    )
    r.offer("a2", key="a")

    assert [event.id for event in r.parked.stored] == ["a1", "a2"]


async def test_a_trigger_that_leaves_parks_nothing_a_second_time_and_keeps_the_order(rig):
    r = rig(window=Window(events=2, ordered=True), policy=TWO_RETRIES)
    r.offer("a1", "a2", "a3", key="a")
    r.offer("b1", key="b")
    r.trigger.leave()
    r.sink.end(Retry("status 503", 503))
    async with asyncio.timeout(5):
        await r.trigger.left()

    assert [event.id for event in r.parked.stored] == ["a1", "a2", "a3", "b1"]
    assert r.trigger.held == 0
    after = rig(window=Window(ordered=True))
    for event in r.parked.stored:
        parked_again(after, event, [])
    sent = []
    while after.sink.attempts:
        sent.append(after.sink.end(ACCEPTED).id)
    assert sorted(sent) == ["a1", "a2", "a3", "b1"]
    assert [id for id in sent if id[0] == "a"] == ["a1", "a2", "a3"]


async def test_a_trigger_that_leaves_holds_what_has_a_twin_until_that_is_durable(rig):
    r = rig(window=Window(events=1, ordered=True), policy=TWO_RETRIES)
    r.parked.by_itself = False
    r.offer("a1", "a2", key="a")
    r.trigger.leave()
    r.sink.end(Retry("status 503", 503))
    assert (r.trigger.held, r.finished) == (1, [])

    r.parked.end()
    assert (r.trigger.held, r.finished) == (0, ["a1"])
    r.parked.end()

    assert [event.id for event in r.parked.stored] == ["a1", "a2"]


async def test_a_trigger_has_left_only_when_what_did_not_fit_lies_parked(rig):
    r = rig(window=Window(events=1))
    r.parked.by_itself = False
    r.offer("1", "2")
    r.trigger.leave()
    r.sink.end(ACCEPTED)
    left = asyncio.ensure_future(r.trigger.left())
    await asyncio.sleep(0)
    assert not left.done()
    r.parked.end()
    async with asyncio.timeout(5):
        await left

    assert r.finished == ["1", "2"]


async def test_the_next_process_sends_what_was_held_before_what_was_parked(rig):
    killed = rig(window=Window(events=1, ordered=True))
    killed.offer("a1", "a2", key="a")
    r = rig(window=Window(ordered=True))
    for event in killed.parked.stored:
        parked_again(r, event, [])
    sent = []
    while r.sink.attempts:
        sent.append(r.sink.attempts[0].event)
        r.sink.end(ACCEPTED)

    assert [event.id for event in sent] == ["a1", "a2"]
    assert not [name for event in sent for name in event.attributes if name.startswith("mesh")]


async def test_copies_that_could_not_be_parked_are_parked_before_those_behind_them(rig):
    r = rig(window=Window(events=1, ordered=True))
    r.parked.by_itself = False
    r.offer("1", key="other")
    r.offer("2", "3", key="k")
    assert [event.id for event, _ in r.parked.waiting] == ["2"]
    r.parked.error = ConnectionLost("down")

    r.parked.end()
    r.offer("4", key="k")
    r.parked.error = None
    assert r.parked.waiting == [], "not before the one that failed"
    r.clock.advance(FIRST_WAIT)
    while r.parked.waiting:
        r.parked.end()

    assert [e.id for e in r.parked.stored] == ["2", "3", "4"]
    assert r.finished == ["2", "3", "4"]


async def test_ordered_copies_are_parked_as_many_at_once_as_the_transport_stores(rig):
    r = rig(window=Window(events=1, ordered=True), max_batch=2)
    r.parked.by_itself = False
    r.offer("1", key="other")
    r.offer("2", "3", "4", "5", key="k")
    r.parked.end()

    assert [event.id for event, _ in r.parked.waiting] == ["3", "4"]


async def test_copies_whose_order_does_not_count_are_parked_at_once(rig):
    r = rig(window=Window(events=1))
    r.parked.by_itself = False

    r.offer("1", "2", "3", "4")

    assert [event.id for event, _ in r.parked.waiting] == ["2", "3", "4"]


async def test_after_stop_nothing_new_is_sent_and_a_failure_stays_unsettled(rig):
    r = rig(window=Window(parallelism=1))
    r.offer("1", "2")
    r.trigger.stop()
    r.sink.end(Retry("closed"))

    assert r.open == []
    assert r.finished == []
    assert r.letters.stored == []
    await r.trigger.idle()


async def test_after_stop_a_delivery_under_way_still_counts(rig):
    r = rig()
    r.offer("1")
    r.trigger.stop()
    r.sink.end(ACCEPTED)

    assert r.finished == ["1"]


async def test_whoever_watches_an_event_hears_how_it_ended(rig):
    r = rig(policy=TWO_RETRIES)
    facts: list[dict[str, object]] = []
    r.watches.open("ns/b", "/s", "1", facts.append)
    r.offer("1")
    r.sink.end(Retry("status 503", 503))
    r.clock.advance(2)
    r.sink.end(ACCEPTED)

    assert [(f["event"], f["outcome"]) for f in facts] == [
        ("attempt", "retry"),
        ("attempt", "ok"),
        ("ended", "delivered"),
    ]


async def test_after_close_what_fails_on_its_way_to_a_durable_end_is_not_tried_again(rig):
    dead_letter_sink = ScriptedSink()
    r = rig(dead_letter_sink=dead_letter_sink, policy=TWO_RETRIES, window=Window(events=2))
    r.parked.by_itself = r.letters.by_itself = False
    r.offer("1", "2", "3")
    r.sink.end(Refused("no", 400))
    r.sink.end(Refused("no", 400))
    dead_letter_sink.end(Refused("no", 400))
    assert (len(r.parked.waiting), len(r.letters.waiting), len(dead_letter_sink.attempts)) == (1, 1, 1)
    r.trigger.stop()
    await r.trigger.close()

    r.parked.error = r.letters.error = ConnectionLost("down")
    r.parked.end()
    r.letters.end()
    dead_letter_sink.end(Retry("closed"))
    r.clock.advance(1_000)

    assert (r.parked.waiting, r.letters.waiting, dead_letter_sink.attempts) == ([], [], [])
    assert r.finished == []


async def test_what_is_on_its_way_into_the_parked_channel_holds_nobody_back_after_a_stop(rig, monkeypatch):
    monkeypatch.setattr("mesh_gateway.delivery.parking.PARKING_LIMIT", 2)
    r = rig(window=Window(events=1))
    r.parked.by_itself = False
    r.offer("1", "2", "3")
    assert r.gate._holders == {r.trigger.parking}

    r.trigger.stop()

    assert r.gate._holders == set()
    assert r.finished == []


async def test_a_cut_ends_attempts_at_a_sink_that_was_replaced_as_well(rig):
    r = rig()
    r.offer("1")
    now = ScriptedSink()
    r.trigger.replace_sink(now)
    r.trigger.leave()

    await r.trigger.cut()

    assert (r.sink.closed, now.closed) == (True, True)


async def test_an_ordered_trigger_that_blocks_and_leaves_holds_nobody_back(rig):
    r = rig(window=Window(ordered=True, overflow="block"), policy=TWO_RETRIES)
    r.parked.by_itself = False
    r.offer("a1", key="a")
    r.offer("b1", "b2", key="b")
    r.trigger.leave()
    r.sink.attempts.pop(0)  # never ends
    r.sink.end(Retry("status 503", 503))

    assert [event.id for event, _ in r.parked.waiting] == ["b1"]
    assert r.gate._holders == set()


async def test_what_is_redriven_comes_back_before_a_blocking_reader_goes_on(rig):
    r = rig(window=Window(ordered=True, overflow="block"))
    assert r.gate._holders == set()

    r.trigger.parking.wake()
    assert r.gate._holders == {r.trigger.parking}
    r.offer("a1", key="a")

    assert (r.open, [event.id for event in r.parked.stored]) == ([], ["a1"])


async def test_types_that_a_producer_gave_to_error_attributes_are_not_those_of_its_dead_letter(rig):
    r = rig()
    wild: dict[str, Kind] = dict.fromkeys(ERROR_ATTRIBUTES, "integer")
    event = Event.new(type="t", source="/s", id="1").with_attributes(dict.fromkeys(ERROR_ATTRIBUTES, "5"))
    event = Event(event.attributes, event.data, wild)
    r.trigger.offer(Delivery(event, token="1", position="0", pending=1), r.finish)
    r.sink.end(Refused("status 400", 400))

    [letter] = r.letters.stored
    assert letter.kinds == {"knativeerrorcode": "integer", "meshattempts": "integer"}
