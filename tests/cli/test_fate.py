"""What became of an event, from the facts of a watch."""

from __future__ import annotations

from typing import Any

import pytest

from mesh_gateway.cli.fate import Fate


def attempt(
    trigger: str, code: int | None, n: int = 1, why: str | None = None, ms: float = 12.0
) -> dict[str, Any]:
    return {"event": "attempt", "trigger": trigger, "code": code, "why": why, "ms": ms, "attempt": n}


def ended(trigger: str, outcome: str, code: int | None, attempts: int = 1) -> dict[str, Any]:
    return {"event": "ended", "trigger": trigger, "outcome": outcome, "code": code, "attempts": attempts}


def matched(*triggers: str) -> dict[str, Any]:
    return {"event": "matched", "triggers": list(triggers)}


WATCHING = {"event": "watching"}
DONE = {"event": "done"}


def fate_of(*facts: dict[str, Any]) -> Fate:
    fate = Fate()
    fate.follow(facts)
    return fate


def test_two_deliveries_are_told_with_code_and_time():
    fate = fate_of(
        WATCHING, matched("shop/billing", "audit/all"), attempt("shop/billing", 200), attempt("audit/all", 202, ms=4.2),
        ended("audit/all", "delivered", 202), ended("shop/billing", "delivered", 200), DONE,
    )  # fmt: skip

    assert fate.good
    assert fate.sentence("shop") == "matched 2: billing 200 in 12 ms, audit/all 202 in 4 ms"


def test_a_delivery_that_needed_retries_says_so():
    fate = fate_of(
        matched("shop/billing"), attempt("shop/billing", 503, why="status 503"), attempt("shop/billing", 200, 2),
        ended("shop/billing", "delivered", 200, 2), DONE,
    )  # fmt: skip

    assert fate.sentence("shop") == "matched 1: billing 200 in 12 ms (attempt 2)"


def test_a_dead_letter_is_not_good_and_says_why():
    fate = fate_of(
        matched("shop/billing"), attempt("shop/billing", 422, why="status 422"),
        ended("shop/billing", "dead-lettered", 422), DONE,
    )  # fmt: skip

    assert not fate.good
    assert fate.sentence("shop") == "matched 1: billing dead-lettered after 1 attempt(s): status 422"


def test_nobody_wants_it_is_a_good_end():
    fate = fate_of(matched(), DONE)

    assert fate.good
    assert fate.sentence("shop") == "matched 0"


def test_what_is_still_under_way_is_not_good():
    fate = fate_of(matched("shop/billing"), attempt("shop/billing", None, 3, why="timeout"))

    assert not fate.good
    assert "billing still under way after 3 attempt(s), last: timeout" in fate.sentence("shop")


def test_silence_before_routing_is_not_good():
    fate = fate_of(WATCHING)

    assert not fate.good
    assert "not routed" in fate.sentence("shop")


def test_facts_of_a_newer_gateway_are_ignored():
    fate = fate_of({"event": "sparkled"}, matched("shop/a"), ended("shop/a", "delivered", None), DONE)

    assert fate.good
    assert fate.sentence("shop") == "matched 1: a ok"


def test_nothing_is_taken_after_the_end():
    facts = iter([DONE, {"event": "matched"}])

    Fate().follow(facts)

    assert next(facts) == {"event": "matched"}


@pytest.mark.parametrize("outcome", ["parked", "dead-lettered"])
def test_only_delivered_is_good(outcome: str):
    assert not fate_of(matched("a/b"), ended("a/b", outcome, None), DONE).good
