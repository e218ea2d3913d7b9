"""What is sent and answered: the same for the same seed, at the limits it promises, and readable again."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_gateway.event import Event
from mesh_gateway.filters.dialects import Filter, parse
from mesh_gateway.testing.probe import codec, workload
from mesh_gateway.testing.probe.oracle import wants
from mesh_gateway.testing.probe.plan import EVENT, REPLY, TRIGGERS, Plan, TriggerPlan
from mesh_gateway.testing.probe.sink import facts
from mesh_gateway.wire import http

PLAN = Plan(seed=5)
SOME = 1_500


def some(plan: Plan = PLAN, sender: str = "s1", key: str = "k0") -> list[workload.Request]:
    return list(islice(workload.requests(plan, sender, key), SOME))


def test_a_seed_makes_the_same_events_again():
    assert some() == some()
    assert some() != some(Plan(seed=6))


def test_numbers_of_a_key_have_no_gaps():
    numbers = [made.seq for request in some() for made in request.events]

    assert numbers == list(range(1, len(numbers) + 1))


def test_all_modes_and_kinds_are_sent():
    sent = some()

    shares = Counter(request.mode for request in sent)
    assert 0.5 < shares["binary"] / SOME < 0.7
    assert shares["structured"] > shares["batch"] > 0
    types = {made.attributes["type"] for request in sent for made in request.events}
    assert types == {EVENT + kind for kind, _ in workload.KINDS}


def test_the_limit_is_tried_at_one_byte_less_exactly_and_one_more():
    bodies = Counter(
        (len(request.message(1)[1]) - PLAN.limit, request.events[0].too_large)
        for request in some()
        if request.mode != "batch" and abs(len(request.message(1)[1]) - PLAN.limit) <= 1
    )

    assert {(-1, False), (0, False), (1, True)} <= set(bodies)


def test_the_product_reads_every_event_as_it_was_meant():
    for request in some()[:300]:
        headers, body = request.message(3)
        raw = [(name.encode(), value.encode()) for name, value in headers]

        for made, event in zip(request.events, http.decode(raw, body, http.Limits()), strict=True):
            assert (dict(event.attributes), event.data) == made.attempt(3)


def test_a_sink_reads_what_the_product_writes():
    for request in some()[:300]:
        for made in request.events:
            event = Event(*made.attempt(1))
            lines = http.binary_head(event).decode().splitlines()
            headers = dict(line.split(": ", 1) for line in lines)

            found = facts(*codec.decode(headers, event.data or b""), letter=False)

            assert (found["ev"], found["hash"]) == (made.ev, f"ok {made.hash}")


@pytest.mark.parametrize("change", ["data", "lost", "added", "changed", "content type"])
def test_any_change_shows_in_the_hash(change: str):
    made = next(m for request in some() for m in request.events if m.data and "subject" in m.attributes)
    attributes, data = made.attempt(1)
    match change:
        case "data":
            data = data[:-1] if data else None
        case "lost":
            del attributes["subject"]
        case "added":
            attributes["another"] = "x"
        case "changed":
            attributes["subject"] += "x"
        case "content type":
            attributes["datacontenttype"] = "text/x"

    assert not facts(attributes, data, letter=False)["hash"].startswith("ok")


def test_what_the_mesh_may_add_does_not_show_in_the_hash():
    made = some()[0].events[0]
    attributes, data = made.attempt(2)
    attributes |= {"knativearrivaltime": "now", "meshtrigger": "probe/a", "knativeerrorcode": "500"}

    assert facts(attributes, data, letter=True)["hash"] == f"ok {made.hash}"


def test_the_flaky_script_fails_in_every_way_and_ends_well():
    hows = Counter(workload.answer(PLAN, "flaky", "flaky", f"e{n}", "1", 1).how for n in range(2_000))

    assert set(hows) == {"accept", "fail", "hang", "drip", "reset", "cut", "garbage"}
    assert all(workload.answer(PLAN, "flaky", "flaky", f"e{n}", "1", 6).takes for n in range(500))


def test_an_answer_does_not_depend_on_the_order_in_which_copies_come():
    asked = [("flaky", f"e{n}", "1", n % 3 + 1) for n in range(200)]

    forward = [workload.answer(PLAN, "flaky", *one) for one in asked]

    assert forward == [workload.answer(PLAN, "flaky", *one) for one in reversed(asked)][::-1]


def _filter(trigger: TriggerPlan) -> Filter:
    found = yaml.safe_load(trigger.filter)
    return parse(found.get("filters", ()), tuple(found.get("filter", {}).get("attributes", {}).items()))


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger.name)
@given(
    kind=st.sampled_from(["plain", "flaky", "refused", "hopeless", "ordered", "ask", "x.ordered", ""]),
    reply=st.booleans(),
    tier=st.sampled_from([None, "gold", "silver", "none", "golden", ""]),
    vip=st.sampled_from([None, "yes", ""]),
)
@settings(max_examples=150, deadline=None)
def test_the_oracle_and_the_filters_of_the_product_agree(trigger, kind, reply, tier, vip):
    attributes = {"specversion": "1.0", "id": "1", "source": "/s", "type": REPLY if reply else EVENT + kind}
    attributes |= {name: value for name, value in (("pbtier", tier), ("pbvip", vip)) if value is not None}

    wanted = _filter(trigger).matches(Event(attributes))

    assert wants(trigger.wish, attributes) == wanted
