"""The rules of relays one by one; that they hold together is `test_simulation.py`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_gateway.delivery.deadletter import CLUSTER, TRIGGER
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.federation.identity import identity
from mesh_gateway.federation.inbox import Judgement, Rules, judge
from mesh_gateway.federation.outbox import MOST_BYTES, WINDOW, Backoff, Outbox
from mesh_gateway.federation.rate import Rate
from mesh_gateway.federation.seen import Seen
from mesh_gateway.federation.transfer import (
    ACCEPTED,
    DUPLICATE,
    LOOPED,
    UNWANTED,
    Lane,
    Numbered,
    Transfer,
    Verdict,
    Word,
)
from mesh_gateway.federation.window import Window

HERE, THERE = "us/shop/orders", "eu/shop/orders"
LANE = Lane("eu", "shop/to-us", "1")


def event(id: str = "1", source: str = "/s", **attributes: Any) -> Event:
    return Event.new(type="order.created", source=source, id=id, **attributes)


def judged(*events: Event, seen: Seen | None = None, known: Window | None = None, rules: Rules | None = None):
    transfer = Transfer(LANE, 0, tuple(Numbered(n, one) for n, one in enumerate(events, 1)))
    window = Window() if known is None else known
    return judge(transfer, seen or Seen(), lambda given: window.known(given, 0.0), rules or Rules(HERE))


def words(judgement: Judgement) -> list[str | None]:
    return [verdict and verdict.word.value for verdict in judgement.verdicts]


# ── via ──────────────────────────────────────────────────────────────────────────────────────


def test_an_event_that_leaves_names_the_place_that_logged_it_and_counts_the_link():
    once = via.crossing(event(), HERE)
    twice = via.crossing(once, THERE)

    assert via.logged_by(twice) == [HERE, THERE]
    assert via.hops(twice) == 2


@pytest.mark.parametrize("text", ["", "-1", "1.0", "many", "99999", "٣"])
def test_hops_that_are_no_number_are_named(text: str):
    marked = event().with_attributes({via.HOPS: text})

    with pytest.raises(InvalidEvent, match=via.HOPS):
        via.hops(marked)


# ── seen ─────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.integers(1, 30)), st.integers(0, 30))
def test_exactly_what_came_is_seen_in_whatever_order_it_came(numbers: list[int], floor: int):
    seen = Seen()
    for number in numbers:
        seen.add(number)
    seen.advance(floor)

    assert [number in seen for number in range(1, 40)] == [
        number in numbers or number <= floor for number in range(1, 40)
    ]


@given(st.permutations(range(1, 20)))
def test_without_gaps_nothing_is_kept_but_the_watermark(numbers: list[int]):
    seen = Seen()
    for number in numbers:
        seen.add(number)

    assert (seen.watermark, seen.beyond) == (19, set())


# ── window ───────────────────────────────────────────────────────────────────────────────────


def test_source_and_id_together_are_the_identity():
    different = {identity(event("c", "/ab")), identity(event("bc", "/a")), identity(event("c", "/a"))}

    assert len(different) == 3
    assert identity(event("c", "/a")) == identity(event("c", "/a", subject="another"))


def test_dead_letters_of_one_event_are_different_things():
    letters = [
        event(**{TRIGGER: trigger, CLUSTER: cluster, via.VIA: "eu/ops/b"})
        for trigger, cluster in [("a/b", "eu"), ("a/c", "eu"), ("a/b", "us")]
    ]

    assert len({identity(one) for one in [event(), *letters]}) == 4
    by_another_way = letters[0].with_attributes({via.VIA: "eu/ops/b,ap/ops/b"})
    assert words(judged(event(), *letters, letters[0], by_another_way)) == [
        *["accepted"] * 4,
        *["duplicate"] * 2,
    ]


def test_the_window_forgets_what_is_too_old_and_what_is_too_much_and_counts_the_latter():
    window = Window(seconds=10, events=2)
    window.add([b"1"], 0)
    window.add([b"2"], 1)
    window.add([b"3"], 2)

    assert window.known([b"1", b"2", b"3"], 2) == {b"2", b"3"}
    assert window.evicted == 1
    assert window.known([b"2", b"3"], 11.5) == {b"3"}


def test_an_identity_that_comes_again_counts_from_then_on():
    window = Window(seconds=10)
    window.add([b"1"], 0)
    window.add([b"1", b"2"], 8)

    assert window.known([b"1"], 17) == {b"1"}
    assert len(window) == 2


# ── inbox ────────────────────────────────────────────────────────────────────────────────────


def test_what_is_new_is_accepted_and_what_was_logged_here_has_looped():
    back = via.crossing(via.crossing(event("2"), HERE), THERE)

    judgement = judged(event("1"), back)

    assert words(judgement) == ["accepted", "looped"]
    assert [one.event.id for one in judgement.new] == ["1"]


def test_a_number_or_an_identity_that_came_before_is_a_duplicate():
    window = Window()
    window.add([identity(event("2"))], 0)

    assert words(judged(event("1"), event("2"), event("3"), seen=Seen(1), known=window)) == [
        "duplicate",
        "duplicate",
        "accepted",
    ]


def test_the_same_event_twice_in_one_transfer_is_stored_once():
    assert words(judged(event("1"), event("1"))) == ["accepted", "duplicate"]


def test_too_many_links_and_types_that_may_not_come_are_refused_with_the_reason():
    far = event("1").with_attributes({via.HOPS: "3"})
    rules = Rules(HERE, max_hops=2, types=("invoice.",))

    first, second = judged(far, event("2"), rules=rules).verdicts

    assert first is not None
    assert second is not None
    assert (first.word, second.word) == (Word.REFUSED, Word.REFUSED)
    assert "3 links" in first.why
    assert "order.created" in second.why


def test_the_last_link_that_is_allowed_may_be_crossed():
    assert words(judged(event().with_attributes({via.HOPS: "2"}), rules=Rules(HERE, max_hops=2))) == [
        "accepted"
    ]


def test_judging_leaves_the_lane_as_it_is():
    lane = Seen(0, {2})

    judgement = judged(event("1"), seen=lane)

    assert (lane.watermark, lane.beyond) == (0, {2})
    assert judgement.seen(lane).watermark == 2


def test_what_could_not_be_stored_has_no_verdict_and_is_not_seen():
    judgement = judged(event("1"), event("2"), event("1")).without({identity(event("1"))})

    assert words(judgement) == [None, "accepted", None]
    assert 1 not in judgement.seen(Seen())
    assert 2 in judgement.seen(Seen())


# ── outbox ───────────────────────────────────────────────────────────────────────────────────


def outbox(count: int, most: int = 2) -> Outbox:
    made = Outbox(LANE, THERE, backoff=Backoff(1.0, 8.0), most_events=most)
    for number in range(1, count + 1):
        made.offer(event(str(number)), token=number)
    return made


def sent(transfer: Transfer | None) -> list[int]:
    assert transfer is not None
    return [number for number, _ in transfer.events]


def test_one_transfer_is_under_way_at_a_time_and_the_order_is_kept():
    box = outbox(3)

    assert sent(box.next(0)) == [1, 2]
    assert box.next(0) is None
    assert [one.token for one in box.answered([ACCEPTED, DUPLICATE], now=0)] == [1, 2]
    assert sent(box.next(0)) == [3]


def test_a_transfer_without_verdicts_goes_again_later_under_the_same_numbers():
    box = outbox(3)
    box.next(0)

    box.failed(now=10)

    assert box.due(10) == 1.0
    assert box.next(10.5) is None
    assert sent(box.next(11)) == [1, 2]


def test_the_wait_doubles_up_to_its_limit_and_is_never_shorter_than_the_receiver_asks():
    assert [Backoff(1.0, 8.0).wait(n) for n in (1, 2, 3, 4, 5, 5_000)] == [1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(("chance", "waits"), [(0.0, [0.9, 7.2]), (1.0, [1.1, 8.8])])
def test_waits_differ_by_a_tenth_at_most(chance: float, waits: list[float]):
    backoff = Backoff(1.0, 8.0, chance=lambda: chance)

    assert [backoff.wait(1), backoff.wait(9)] == pytest.approx(waits)
    box = outbox(1)
    box.next(0)
    box.failed(now=0, after=30)
    assert box.due(0) == 30


def test_what_has_no_verdict_goes_first_and_holds_the_floor_back():
    box = outbox(4)
    box.next(0)
    box.answered([None, LOOPED], now=0)

    assert box.next(0.9) is None
    again = box.next(1)

    assert sent(again) == [1, 3]
    assert again is not None
    assert again.floor == 0
    box.answered([ACCEPTED, ACCEPTED], now=1)
    last = box.next(1)
    assert last is not None
    assert last.floor == 3


def test_what_the_target_has_logged_is_withdrawn_and_the_floor_passes_its_number():
    box = Outbox(LANE, THERE)
    box.offer(event("1"), token=1)
    box.offer(via.crossing(event("2"), HERE), token=2)
    box.offer(event("3"), token=3)

    assert box.withdraw(HERE) == [2]
    transfer = box.next(0)
    assert transfer is not None
    assert [one.event.id for one in transfer.events] == ["1", "3"]
    box.failed(0)
    assert box.withdraw(HERE) == []
    assert box.held == 2


def test_a_transfer_has_a_limit_in_bytes_and_takes_one_event_that_is_over_it():
    box = Outbox(LANE, THERE)
    for _ in range(2):
        box.offer(Event.new(type="t", source="/s", data=bytes(MOST_BYTES)), token=None)

    assert sent(box.next(0)) == [1]


def test_what_is_held_is_bounded():
    box = outbox(WINDOW)

    assert (box.held, box.room) == (WINDOW, 0)


def test_an_event_that_alone_gets_no_verdict_is_given_up_in_the_end():
    box = Outbox(LANE, THERE, backoff=Backoff(1.0, 8.0), retry=1, most_events=2)
    for number in range(1, 4):
        box.offer(event(str(number)), token=number)
    box.next(0)
    box.answered([None, ACCEPTED], now=0)
    assert sent(box.next(1)) == [1, 3]

    [given_up, passed] = box.answered([None, ACCEPTED], now=1)

    assert (given_up.token, given_up.verdict.word) == (1, Word.REFUSED)
    assert passed.token == 3
    assert box.held == 0


@pytest.mark.parametrize("other", [DUPLICATE, UNWANTED, LOOPED])
def test_while_nothing_is_stored_nobody_is_given_up_and_the_wait_grows(other: Verdict):
    box = Outbox(LANE, THERE, backoff=Backoff(1.0, 8.0), retry=0, most_events=2)
    for number in range(1, 6):
        box.offer(event(str(number)), number)
    now, waits = 0.0, list[float | None]()
    for _ in range(3):
        box.next(now)
        box.answered([None, other], now)
        waits.append(box.due(now))
        now += waits[-1] or 0.0

    assert waits == [1.0, 2.0, 4.0]
    assert sent(box.next(now)) == [1, 5]


def test_while_nobody_gets_a_verdict_nobody_is_given_up():
    box = Outbox(LANE, THERE, backoff=Backoff(1.0, 1.0), retry=0)
    box.offer(event("1"), token=1)
    for second in range(20):
        assert sent(box.next(second)) == [1]
        assert box.answered([None], now=second) == []

    assert box.failures == 20


def test_what_is_too_large_goes_in_halves_and_alone_is_refused():
    box = outbox(5, most=4)
    assert sent(box.next(0)) == [1, 2, 3, 4]
    assert box.not_taken("too large") == []
    assert sent(box.next(0)) == [1, 2]
    assert box.not_taken("too large") == []
    assert sent(box.next(0)) == [1]

    [refused] = box.not_taken("too large")

    assert (refused.token, refused.verdict.word) == (1, Word.REFUSED)
    assert sent(box.next(0)) == [2]
    box.answered([ACCEPTED], now=0)
    assert sent(box.next(0)) == [3, 4, 5]


def test_a_rate_lets_a_second_go_at_once_and_then_one_by_one():
    box = Outbox(LANE, THERE, rate=Rate(2.0))
    for number in range(1, 6):
        box.offer(event(str(number)), token=number)

    assert sent(box.next(0)) == [1, 2]
    box.answered([ACCEPTED, ACCEPTED], now=0)
    assert box.next(0.4) is None
    assert box.due(0.4) == pytest.approx(0.1)
    assert sent(box.next(0.5)) == [3]
    box.answered([ACCEPTED], now=0.5)
    assert sent(box.next(10)) == [4, 5]
