"""One status from several."""

from __future__ import annotations

from typing import Any

from mesh_gateway.gateway.workers.merging import merged


def ready(status: str = "True", reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": "Ready", "status": status, "reason": reason, "message": message}


def status(**counts: Any) -> dict[str, Any]:
    """What a worker says, with these differences."""
    trigger = {
        "name": "ns/t", "broker": "ns/b", "subscriber": "http://s/", "conditions": [counts.get("condition", ready())],
        "in_flight": 1, "window": 2, "window_limit": 1_000, "parked": counts.get("parked", 3), "lag": 5,
        "oldest_age": counts.get("oldest"), "delivered": counts.get("delivered", 0), "retried": 0, "dead_lettered": 0,
        "filtered": 0, "last_error": counts.get("error", ""),
    }  # fmt: skip
    broker = {
        "name": "ns/b", "transport": "main", "url": "http://wrong/", "conditions": [ready()],
        "accepted": counts.get("accepted", 0), "dead_letters": counts.get("letters", 0),
    }  # fmt: skip
    drift = {"channel": "ns/b", "what": "partitions", "wanted": "3", "found": "1", "hint": ""}
    transport = {
        "name": "main",
        "kind": "k",
        "up": counts.get("up", True),
        "detail": counts.get("detail", ""),
        "drift": [drift],
    }
    removed = counts.get("removed", [])
    return {
        "transports": [transport],
        "brokers": [broker],
        "triggers": [trigger],
        "relays": [],
        "removed": removed,
    }


def of(*statuses: dict[str, Any], local: bool = True) -> dict[str, dict[str, Any]]:
    """The first of each noun."""
    whole = merged(dict(enumerate(statuses)), lambda broker: local, lambda key: f"http://here/{key}")
    return {noun: found[0] for noun, found in whole.items() if found}


def test_counts_are_added_up():
    found = of(status(accepted=3, delivered=1), status(accepted=4, delivered=2))

    assert found["brokers"]["accepted"] == 7
    assert found["brokers"]["url"] == "http://here/ns/b"
    assert {
        name: found["triggers"][name] for name in ("delivered", "in_flight", "window", "window_limit")
    } == {
        "delivered": 3,
        "in_flight": 2,
        "window": 4,
        "window_limit": 2_000,
    }


def test_what_each_worker_has_of_its_own_is_added_up_and_what_they_share_is_not():
    own, shared = (
        of(status(parked=3, letters=1), status(parked=4, letters=2), local=local) for local in (True, False)
    )

    assert (own["triggers"]["parked"], own["triggers"]["lag"], own["brokers"]["dead_letters"]) == (7, 11, 3)
    assert (shared["triggers"]["parked"], shared["triggers"]["lag"], shared["brokers"]["dead_letters"]) == (
        4,
        8,
        2,
    )


def test_what_no_worker_can_tell_is_not_told():
    assert of(status(parked=None), status(parked=None))["triggers"]["parked"] is None
    assert of(status(parked=None), status(parked=2))["triggers"]["parked"] == 2


def test_the_worst_condition_counts_and_names_its_worker():
    found = of(status(), status(condition=ready("False", "SubscriberUnreachable", "refused")))

    assert found["triggers"]["conditions"] == [ready("False", "SubscriberUnreachable", "worker 1: refused")]


def test_a_transport_is_up_where_every_worker_reaches_it():
    found = of(status(), status(up=False, detail="connection refused"))["transports"]

    assert (found["up"], found["detail"]) == (False, "worker 1: connection refused")
    assert len(found["drift"]) == 1, "both have seen the same"


def test_what_was_removed_is_one_thing_however_many_workers_have_some_of_it():
    def left(backlog: int, since: float) -> dict[str, Any]:
        one = {"kind": "trigger", "name": "ns/old", "broker": "ns/b", "oldest_age": None}
        return {**one, "backlog": backlog, "since": since}

    found = of(status(removed=[left(1, 20.0)]), status(removed=[left(2, 10.0)]))

    assert found["removed"]["backlog"] == 3
    assert found["removed"]["since"] == 10.0
