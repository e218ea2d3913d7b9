"""Histories by hand: for each anomaly one that has it, and the look-alikes that must pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mesh_gateway.testing.probe.plan import FDS_SLACK
from tests.probe.story import E1, E2, E3, Story

Tell = Callable[[Story], None]

WRONG: dict[str, tuple[str, Tell]] = {}
"""Name -> the one kind of anomaly in it, and the story."""

RIGHT: dict[str, Tell] = {}
"""Name -> a story in which nothing is wrong."""


def wrong(kind: str) -> Callable[[Tell], Tell]:
    def told(tell: Tell) -> Tell:
        name = f"{kind} {tell.__name__}"
        assert name not in WRONG
        WRONG[name] = (kind, tell)
        return tell

    return told


def right(tell: Tell) -> Tell:
    assert tell.__name__ not in RIGHT
    RIGHT[tell.__name__] = tell
    return tell


# ── lost ─────────────────────────────────────────────────────────────────────────────────────


@wrong("LOST")
def never_delivered(story: Story) -> None:
    story.send()


@wrong("LOST")
def after_a_kill(story: Story) -> None:
    story.send()
    with story.fault("kill"):
        pass
    story.send(E2)
    story.got("a", E2)


@wrong("LOST")
def refused_and_no_dead_letter(story: Story) -> None:
    story.send()
    story.got("a", how="refuse", code=400)


@wrong("LOST")
def its_dead_letter_was_not_taken(story: Story) -> None:
    story.send()
    story.got("a", how="refuse", code=400)
    story.letter(how="fail")


@wrong("LOST")
def the_sink_was_killed_before_it_answered(story: Story) -> None:
    story.send()
    story.got("a", how=None)


@wrong("LOST")
def the_answer_was_cut(story: Story) -> None:
    story.send()
    story.got("a", how="cut", code=200)


@wrong("LOST")
def only_for_one_of_two_triggers(story: Story) -> None:
    story.send(kind="x.ordered")
    story.got("a")


@right
def not_lost_nobody_was_told_that_it_is_stored(story: Story) -> None:
    story.send(said="info")
    story.send(E2, said=None)


@right
def not_lost_refused_by_the_broker(story: Story) -> None:
    story.send(said="fail")


@right
def not_lost_its_dead_letter_lies_in_the_channel(story: Story) -> None:
    story.send()
    story.got("a", how="refuse", code=400)
    story.letter(stored=True)


@right
def not_lost_no_trigger_wants_it(story: Story) -> None:
    story.send(pbtier="none")


@right
def not_lost_another_attempt_of_it_came(story: Story) -> None:
    story.send(said="info")
    story.send(att="2")
    story.got("a", att="1")


# ── phantom ──────────────────────────────────────────────────────────────────────────────────


@wrong("PHANTOM")
def nobody_sent_it(story: Story) -> None:
    story.got("a", "s9/k0/1")


@wrong("PHANTOM")
def refused_and_it_came(story: Story) -> None:
    story.send(said="fail")
    story.got("a")


@wrong("PHANTOM")
def an_attempt_that_nobody_made(story: Story) -> None:
    story.send()
    story.got("a")
    story.got("a", att="7")


@right
def not_a_phantom_nobody_knew_whether_it_was_stored(story: Story) -> None:
    story.send(said="info")
    story.got("a")


@right
def not_a_phantom_one_of_two_tries_was_refused(story: Story) -> None:
    story.send(said="fail")
    story.send(said="ok")
    story.got("a")


@right
def not_a_phantom_it_came_before_the_sender_was_told(story: Story) -> None:
    story.send(said=None)
    story.got("a")
    story.told(E1, "ok")


# ── twice ────────────────────────────────────────────────────────────────────────────────────


@wrong("DUP")
def taken_and_delivered_again(story: Story) -> None:
    story.send()
    story.got("a")
    story.got("a")


@wrong("DUP")
def the_fault_was_over_before_it_came_first(story: Story) -> None:
    with story.fault("kill"):
        pass
    story.send()
    story.got("a")
    story.got("a")


@wrong("DUP")
def a_second_dead_letter(story: Story) -> None:
    story.send()
    story.got("a", how="refuse", code=400)
    story.letter()
    story.letter()


@right
def not_twice_the_sender_sent_again(story: Story) -> None:
    story.send(said="info")
    story.send(att="2")
    story.got("a", att="1")
    story.got("a", att="2")


@right
def not_twice_the_first_was_not_taken(story: Story) -> None:
    story.send()
    story.got("a", how="fail", code=503)
    story.got("a", how="cut", code=200)
    story.got("a")


@right
def not_twice_killed_before_it_could_settle(story: Story) -> None:
    story.send()
    story.got("a")
    with story.fault("kill"):
        pass
    story.got("a")


@right
def not_twice_parked_and_killed_before_it_could_settle(story: Story) -> None:
    story.send()
    with story.fault("kill"):
        pass
    story.got("a")
    story.got("a")


@right
def not_twice_one_in_two_thousand_in_a_run_with_faults(story: Story) -> None:
    with story.fault("kill"):
        pass
    for number in range(2_000):
        story.send(f"s1/k0/{number}")
        story.got("a", f"s1/k0/{number}")
    story.got("a", "s1/k0/1999")


# ── order ────────────────────────────────────────────────────────────────────────────────────


@wrong("ORDER")
def first_deliveries_inverted(story: Story) -> None:
    for ev in (E1, E2):
        story.send(ev, kind="x.ordered", pbtier="none")
    story.got("o", E2)
    story.got("o", E1)


@wrong("ORDER")
def overtaken_while_it_waited_for_a_retry(story: Story) -> None:
    for ev in (E1, E2):
        story.send(ev, kind="x.ordered", pbtier="none")
    story.got("o", E1, how="fail", code=503)
    story.got("o", E2)
    story.got("o", E1)


@wrong("ORDER")
def inverted_across_a_kill(story: Story) -> None:
    for ev in (E1, E2):
        story.send(ev, kind="x.ordered", pbtier="none")
    story.got("o", E2)
    with story.fault("kill"):
        pass
    story.got("o", E1)


@right
def in_order_a_kill_took_it_back(story: Story) -> None:
    for ev in (E1, E2, E3):
        story.send(ev, kind="x.ordered", pbtier="none")
    story.got("o", E1)
    story.got("o", E2)
    with story.fault("kill"):
        pass
    story.got("o", E1)
    story.got("o", E2)
    story.got("o", E3)


@right
def in_order_other_keys_pass_by(story: Story) -> None:
    for ev in ("s1/k0/1", "s1/k1/2", "s2/k0/2"):
        story.send(ev, kind="x.ordered", pbtier="none")
    story.got("o", "s1/k0/1", how="fail", code=503)
    story.got("o", "s1/k1/2")
    story.got("o", "s2/k0/2")
    story.got("o", "s1/k0/1")


@right
def in_order_the_earlier_one_was_never_acknowledged(story: Story) -> None:
    story.send(E1, said="info", kind="x.ordered", pbtier="none")
    story.send(E2, kind="x.ordered", pbtier="none")
    story.got("o", E2)
    story.got("o", E1)


@right
def in_order_a_trigger_that_promises_none(story: Story) -> None:
    for ev in (E1, E2):
        story.send(ev)
    story.got("a", E2)
    story.got("a", E1)


# ── at the wrong door, changed ───────────────────────────────────────────────────────────────


@wrong("MISROUTED")
def the_filter_says_no(story: Story) -> None:
    story.send(pbtier="none")
    story.got("a")


@wrong("MISROUTED")
def a_dead_letter_of_no_trigger(story: Story) -> None:
    story.send(pbtier="none")
    story.letter("nobody", ev=E1)


@right
def not_misrouted_the_filter_was_changed_meanwhile(story: Story) -> None:
    story.send(pbtier="none")
    story.line("config", epoch=1, good=True)
    story.got("a")
    story.line("config", applied=1)
    story.line("config", force=1)


@wrong("CORRUPT")
def something_was_changed(story: Story) -> None:
    story.send()
    story.got("a", hash="made #1, came #2")


@wrong("CORRUPT")
def another_events_content(story: Story) -> None:
    story.send()
    story.got("a", hash=f"ok #{E2}", how="fail", code=503)
    story.got("a")


@wrong("CORRUPT")
def nothing_can_be_read(story: Story) -> None:
    story.line("recv", "sink-a", ev="", att="", n=0, trig="a", hash="unreadable: not a CloudEvent")


# ── dead letters ─────────────────────────────────────────────────────────────────────────────


@wrong("ZOMBIE")
def delivered_after_its_dead_letter(story: Story) -> None:
    story.send()
    story.got("a", how="refuse", code=400)
    story.letter()
    story.got("a", how="refuse", code=400)


@right
def no_zombie_killed_before_the_burial_was_settled(story: Story) -> None:
    story.send()
    story.got("a", how="refuse", code=400)
    story.letter()
    with story.fault("kill"):
        pass
    story.got("a", how="refuse", code=400)
    story.letter()


@right
def no_zombie_the_letter_was_not_taken(story: Story) -> None:
    story.send()
    story.got("a", how="fail", code=500)
    with story.fault("letters"):
        story.letter(how="fail", attempts="1", lcode="500")
    story.got("a")


def _bad_letter(**said: Any) -> Tell:
    def tell(story: Story) -> None:
        story.send()
        story.got("a", how="refuse", code=400)
        story.letter(**said)

    return tell


WRONG["DLQ-BAD without_a_reason"] = ("DLQ-BAD", _bad_letter(reason=None))
WRONG["DLQ-BAD more_attempts_than_were_made"] = ("DLQ-BAD", _bad_letter(attempts="2"))
WRONG["DLQ-BAD more_attempts_than_are_allowed"] = ("DLQ-BAD", _bad_letter(attempts="4"))
WRONG["DLQ-BAD another_code"] = ("DLQ-BAD", _bad_letter(lcode="500"))
WRONG["DLQ-BAD without_the_code"] = ("DLQ-BAD", _bad_letter(lcode=None))
WRONG["DLQ-BAD not_the_event_that_was_sent"] = ("DLQ-BAD", _bad_letter(hash="made #1, came #2"))


@wrong("DLQ-BAD")
def although_it_was_taken(story: Story) -> None:
    story.send()
    story.got("a")
    story.letter(lcode="202")


@wrong("DLQ-BAD")
def without_any_attempt(story: Story) -> None:
    story.send()
    story.letter()


@right
def a_good_letter_after_the_last_retry(story: Story) -> None:
    story.send()
    for _ in range(3):
        story.got("a", how="fail", code=503)
    story.letter(attempts="3", lcode="503")


@right
def a_good_letter_whose_attempts_never_arrived(story: Story) -> None:
    story.send()
    with story.fault("subscriber"):
        story.letter(attempts="3", lcode=None)


@right
def a_good_letter_whose_first_attempts_met_an_outage(story: Story) -> None:
    story.send()
    with story.fault("subscriber"):
        story.wait(1)
    story.got("a", how="fail", code=503)
    story.letter(attempts="3", lcode="503")


@right
def a_good_letter_after_no_answer_at_all(story: Story) -> None:
    story.send()
    for how in ("hang", "reset", "garbage"):
        story.got("a", how=how, code=200)
    story.letter(attempts="3", lcode=None)


# ── replies ──────────────────────────────────────────────────────────────────────────────────


@wrong("REPLY-LOST")
def nobody_got_it(story: Story) -> None:
    story.send(kind="x.ask", pbtier="none")
    story.got("asking", how="reply", code=200)


@wrong("REPLY-DUP")
def under_another_id(story: Story) -> None:
    story.send(kind="x.ask", pbtier="none")
    story.got("asking", how="reply", code=200)
    story.replied(id="re")
    with story.fault("kill"):
        pass
    story.replied(id="re-2")


@right
def a_reply_that_came_twice_because_its_cause_did(story: Story) -> None:
    story.send(kind="x.ask", pbtier="none")
    story.got("asking", how="reply", code=200)
    story.replied(att="1.1")
    with story.fault("kill"):
        pass
    story.got("asking", how="reply", code=200)
    story.replied(att="1.2")


@right
def a_reply_whose_cause_was_buried(story: Story) -> None:
    story.send(kind="x.ask", pbtier="none")
    with story.fault("subscriber"):
        story.got("asking", how="reply", code=200)
    story.letter("asking", lcode=None)


# ── the gateway ──────────────────────────────────────────────────────────────────────────────


@wrong("STUCK")
def for_more_than_half_a_minute(story: Story) -> None:
    story.send()
    story.send(E2)
    story.got("a", E2)
    story.wait(31)
    story.got("a")


@wrong("STUCK")
def never_over(story: Story) -> None:
    story.line("quiesce", on=True)
    story.line("quiesce", on=False, seconds=120.0, over=False)


@right
def not_stuck_a_fault_was_on(story: Story) -> None:
    story.send()
    story.send(E2)
    story.got("a", E2)
    with story.fault("pause"):
        story.wait(60)
    story.got("a")


@right
def not_stuck_there_was_nothing_to_do(story: Story) -> None:
    story.send()
    story.got("a")
    story.wait(60)
    story.send(E2)
    story.got("a", E2)


@wrong("LEAK")
def beyond_its_windows(story: Story) -> None:
    story.line("ready", pid=1, rss=60 * 2**20, fds=20, seconds=1)
    story.line("sample", pid=1, rss=900 * 2**20, fds=20)
    story.line("sample", pid=1, rss=60 * 2**20, fds=20)


@wrong("LEAK")
def of_descriptors(story: Story) -> None:
    story.line("ready", pid=1, rss=60 * 2**20, fds=20, seconds=1)
    story.line("sample", pid=1, rss=60 * 2**20, fds=21 + FDS_SLACK)


@right
def no_leak_another_process_is_larger(story: Story) -> None:
    story.line("ready", pid=1, rss=60 * 2**20, fds=20, seconds=1)
    story.line("ready", pid=2, rss=900 * 2**20, fds=1_000, seconds=1)
    story.line("sample", pid=2, rss=910 * 2**20, fds=1_000)


@wrong("UNSETTLED")
def after_the_end(story: Story) -> None:
    story.line("unsettled", group="probe/events mesh", events=3)


@right
def settled_to_the_last(story: Story) -> None:
    story.line("unsettled", group="probe/events mesh", events=0)


@wrong("CONFIG")
def an_older_one_is_in_force(story: Story) -> None:
    for epoch in (1, 2):
        story.line("config", epoch=epoch, good=True)
    story.line("config", applied=2)
    story.line("config", force=1)


@wrong("CONFIG")
def it_never_came_into_force(story: Story) -> None:
    story.line("config", epoch=1, good=True)
    story.line("config", force=1)


@right
def the_last_good_configuration_is_in_force(story: Story) -> None:
    story.line("config", epoch=1, good=True)
    story.line("config", epoch=2, good=True)
    story.line("config", applied=2)
    story.line("config", good=False)
    story.line("config", force=2)


@wrong("DUP")
def a_reload_is_no_excuse(story: Story) -> None:
    story.send()
    story.got("a")
    with story.fault("reload"):
        pass
    story.got("a")


@wrong("MISROUTED")
def the_old_filter_is_no_excuse_once_the_new_one_is_in_force(story: Story) -> None:
    story.line("config", epoch=1, good=True)
    story.line("config", applied=1)
    story.send(pbtier="gold")
    story.got("a")
    story.line("config", force=1)


@wrong("ENDED")
def not_in_order(story: Story) -> None:
    story.line("exit", code=1)


@wrong("ENDED")
def by_itself(story: Story) -> None:
    story.line("died", code=74)


@right
def ended_in_order(story: Story) -> None:
    story.line("exit", code=0)
