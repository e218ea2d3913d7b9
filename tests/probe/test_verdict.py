"""A verdict: a run that met nothing is no pass, and an anomaly is one even then."""

from __future__ import annotations

import pytest

from mesh_gateway.testing.probe.verdict import verdict
from tests.probe.story import E1, E2, E3, Story


def whole(story: Story) -> Story:
    """With what every run ends with."""
    story.line("quiesce", on=True)
    story.line("quiesce", on=False, seconds=5.0, over=True)
    story.line("rest", letters=0, groups=3)
    return story


def good(**plan: object) -> Story:
    story = Story(**plan)
    story.send()
    story.got("a")
    return story


def test_a_run_in_which_everything_was_delivered_passes():
    found = verdict(whole(good()).facts())

    assert (found.word, found.exit_code, found.invalid) == ("pass", 0, [])
    assert found.counts["acknowledged"] == 1
    assert found.counts["ended"]["a"] == 1


def test_nothing_checked_is_never_a_pass():
    found = verdict(whole(Story()).facts())

    assert (found.word, found.exit_code) == ("invalid", 3)
    assert "only 0 events came to their end at a; 1 are needed" in found.invalid


def test_where_nothing_was_acknowledged_it_says_what_the_senders_heard():
    story = Story(own=False, broker="http://h/a/b")
    story.invoke(E1, "1", "x", "s1", "k1", 1)
    story.line("fail", "s1", ev=E1, att="1", code=0, why="nobody listened: connection refused")

    found = verdict(whole(story).facts())

    assert found.invalid[0] == (
        "no event was acknowledged; most requests ended with: nobody listened: connection refused; "
        "is a Broker served at http://h/a/b?"
    )


def test_without_a_word_from_the_gateway_a_status_is_what_they_heard():
    story = Story()
    story.send(said="fail")

    found = verdict(whole(story).facts())

    assert "no event was acknowledged; most requests ended with: status 400" in found.invalid


def test_an_anomaly_is_one_even_in_a_run_that_would_not_count():
    story = Story(faults=("kill",))
    story.send()

    found = verdict(story.facts())

    assert (found.word, found.exit_code) == ("anomaly", 1)
    assert found.invalid


@pytest.mark.parametrize("missing", ["quiesce", "rest"])
def test_a_run_that_was_cut_off_does_not_count(missing: str):
    story = whole(good())
    story.lines = [line for line in story.lines if line["op"] != missing]

    assert verdict(story.facts()).word == "invalid"


def test_a_fault_that_never_happened_does_not_count():
    found = verdict(whole(good(faults=("kill",))).facts())

    assert found.word == "invalid"
    assert "never happened" in found.invalid[0]


def test_a_kill_between_two_requests_does_not_count():
    story = good(faults=("kill",))
    with story.fault("kill"):
        pass
    story.send(E2)
    story.got("a", E2)

    found = verdict(whole(story).facts())

    assert found.word == "invalid"
    assert "never met anything under way" in found.invalid[0]


def test_a_kill_with_a_commit_in_progress_counts():
    story = good(faults=("kill",))
    story.invoke(E2, "1", "x", sender="s1", key="k0", seq=2)
    with story.fault("kill"):
        story.told(E2, "info")
    story.send(E2, att="2")
    story.got("a", E2, att="2")

    found = verdict(whole(story).facts())

    assert (found.word, found.counts["bit"]) == ("pass", {"kill": 1})


def test_a_subscriber_that_was_away_counts_when_something_waited_for_it():
    for waited, word in ((True, "pass"), (False, "invalid")):
        story = good(faults=("subscriber",))
        with story.fault("subscriber"):
            if waited:
                story.send(E2)
        if waited:
            story.got("a", E2)

        assert verdict(whole(story).facts()).word == word


def test_an_outage_of_the_dead_letter_sink_counts_when_something_was_refused_meanwhile():
    for refused, word in ((True, "pass"), (False, "invalid")):
        story = good(faults=("letters",))
        story.send(E2)
        with story.fault("letters"):
            if refused:
                story.got("a", E2, how="refuse", code=400)
        if refused:
            story.letter(ev=E2)
        else:
            story.got("a", E2)

        assert verdict(whole(story).facts()).word == word


def test_a_fault_whose_command_failed_does_not_count():
    story = good()
    story.line("command", code=1, said="no such container")

    found = verdict(whole(story).facts())

    assert found.word == "invalid"
    assert "no such container" in found.invalid[0]


def test_what_came_again_is_told_apart_by_its_cause():
    story = Story()
    story.send(E1, said="info")
    story.send(E1, att="2")
    story.got("a", E1, att="1")
    story.got("a", E1, att="2")
    story.send(E2)
    story.got("a", E2, how="fail", code=503)
    story.got("a", E2)
    story.send(E3)
    story.got("a", E3)
    with story.fault("kill"):
        pass
    story.got("a", E3)

    assert verdict(story.facts()).counts["again"] == {"D1": 1, "D2": 1, "D3": 1, "D4": 0}
