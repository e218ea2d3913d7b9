"""`send` against a gateway on a real socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mesh_gateway.event import Event
from mesh_gateway.wire import http


def received(gateway: Any, index: int = -1) -> Event:
    """The event of a request, read by our own codec."""
    _, _, headers, body = gateway.asked[index]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return http.decode(raw, body, http.Limits())[0]


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_what_was_asked_for_arrives(run, gateway, mode: str):
    result = run(
        "send", "--to", f"{gateway.url}/shop/orders", "--type", "order.created", "--source", "/eu", "--id", "1",
        "--subject", "Größe 4", "-a", "vip=true", "--field", "a.b=1", "--field", "name=Ada", "--mode", mode,
    )  # fmt: skip

    event = received(gateway)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "202 id=1\n"
    assert gateway.last[:2] == ("POST", "/shop/orders")
    assert event.attributes == {
        "specversion": "1.0", "type": "order.created", "source": "/eu", "id": "1", "subject": "Größe 4",
        "vip": "true", "datacontenttype": "application/json",
    }  # fmt: skip
    assert json.loads(event.data or b"") == {"a": {"b": 1}, "name": "Ada"}


def test_an_event_without_data_has_no_content_type(run, gateway):
    run("send", "--to", gateway.url + "/a/b", "--type", "t")

    assert received(gateway).data is None
    assert "content-type" not in gateway.last[2]


def test_data_from_standard_input_passes_byte_for_byte(run, gateway):
    run("send", "--to", gateway.url + "/a/b", "--type", "t", "--data", "-", input=b"\x00\xff")

    assert received(gateway).data == b"\x00\xff"
    assert received(gateway).attributes["datacontenttype"] == "application/octet-stream"


def test_many_events_have_ids_of_their_own(run, gateway):
    result = run("send", "--to", gateway.url + "/a/b", "--type", "t", "--count", "3", "-o", "json")

    told = json.loads(result.stdout)
    assert [one["status"] for one in told] == [202, 202, 202]
    assert len({one["id"] for one in told}) == 3
    assert "sent 3: 3 accepted" in result.stderr
    assert len(set(gateway.connections)) == 1


def test_one_id_for_many_events_is_a_usage_error(run, gateway):
    assert run("send", "--type", "t", "--id", "1", "--count", "2").exit_code == 2


def test_a_refusal_is_shown_and_is_not_success(run, gateway):
    gateway.answers["POST", "/a/b"] = (400, {"detail": "time: is not a timestamp"})

    result = run("send", "--to", gateway.url + "/a/b", "--type", "t", "--id", "7")

    assert result.exit_code == 1
    assert result.stdout == "400 id=7 · time: is not a timestamp\n"


def test_a_refusal_among_many_is_not_success(run, gateway):
    gateway.answers["POST", "/a/b"] = [(503, {"detail": "transport embedded is down"}), (202, b"")]

    result = run("send", "--to", gateway.url + "/a/b", "--type", "t", "--count", "2", "-o", "jsonl")

    assert result.exit_code == 1
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == [503, 202]


def test_nobody_there_is_69(run, nobody):
    result = run("send", "--to", f"{nobody}/a/b", "--type", "t")

    assert result.exit_code == 69
    assert "connection refused" in result.stderr


def test_an_invalid_event_is_not_sent(run, gateway):
    result = run("send", "--to", gateway.url + "/a/b", "--type", "t", "--source", "not a uri")

    assert result.exit_code == 2
    assert "source" in result.stderr
    assert not gateway.asked


FACTS = [
    {"event": "matched", "triggers": ["shop/billing", "shop/fast"]},
    {"event": "attempt", "trigger": "shop/fast", "outcome": "ok", "code": 202, "why": None, "ms": 4.1, "attempt": 1},
    {"event": "ended", "trigger": "shop/fast", "outcome": "delivered", "code": 202, "attempts": 1},
    {"event": "attempt", "trigger": "shop/billing", "outcome": "ok", "code": 200, "why": None, "ms": 12.2, "attempt": 1},
    {"event": "ended", "trigger": "shop/billing", "outcome": "delivered", "code": 200, "attempts": 1},
    {"event": "done"},
]  # fmt: skip


def wait(run: Any, gateway: Any, *more: str) -> Any:
    return run(
        "send", "--to", f"{gateway.url}/shop/orders", "--admin", gateway.url, "--type", "t", "--id", "1",
        "--source", "/s", "--wait", *more,
    )  # fmt: skip


def test_wait_watches_before_it_sends_and_tells_how_it_ended(run, gateway):
    gateway.facts = FACTS

    result = wait(run, gateway)

    assert result.exit_code == 0, result.stderr
    assert result.stdout == "202 id=1 · matched 2: billing 200 in 12 ms, fast 202 in 4 ms\n"
    assert [(method, path) for method, path, _, _ in gateway.asked] == [
        ("GET", "/api/v1/watch?broker=shop%2Forders&source=%2Fs&id=1"),
        ("POST", "/shop/orders"),
    ]


def test_wait_for_programs_has_every_delivery(run, gateway):
    gateway.facts = FACTS

    told = json.loads(wait(run, gateway, "-o", "json").stdout)

    assert told["done"] is True
    assert {one["trigger"]: (one["outcome"], one["code"]) for one in told["deliveries"]} == {
        "shop/billing": ("delivered", 200),
        "shop/fast": ("delivered", 202),
    }


def test_wait_with_many_follows_each(run, gateway):
    gateway.facts = FACTS

    result = run(
        "send",
        "--to",
        f"{gateway.url}/shop/orders",
        "--admin",
        gateway.url,
        "--type",
        "t",
        "--wait",
        "--count",
        "2",
    )

    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("matched 2: billing 200") == 2
    # Following may outlast an idle connection, so each event has its own.
    assert len(set(gateway.connections)) == 2


def test_wait_sends_only_when_the_gateway_watches(run, gateway):
    gateway.facts = FACTS
    gateway.slow_to_watch = True

    result = wait(run, gateway)

    assert result.exit_code == 0, result.stderr
    assert not gateway.sent_before_watching


def test_a_dead_letter_is_not_success(run, gateway):
    gateway.facts = [
        {"event": "matched", "triggers": ["shop/billing"]},
        {"event": "ended", "trigger": "shop/billing", "outcome": "dead-lettered", "code": 422, "attempts": 1,
         "why": "status 422"},
        {"event": "done"},
    ]  # fmt: skip

    result = wait(run, gateway)

    assert result.exit_code == 1
    assert "billing dead-lettered after 1 attempt(s): status 422" in result.stdout


def test_time_that_is_up_is_not_success(run, gateway):
    gateway.facts = FACTS[:3]
    gateway.hang_up_watch = False

    result = wait(run, gateway, "--timeout", "0.2")

    assert result.exit_code == 1
    assert "fast 202 in 4 ms" in result.stdout
    assert "billing still under way" in result.stdout


def test_an_event_that_nobody_wants_points_to_explain(run, gateway):
    gateway.facts = [{"event": "matched", "triggers": []}, {"event": "done"}]

    result = wait(run, gateway)

    assert result.exit_code == 0
    assert result.stdout == "202 id=1 · matched 0\n"
    assert "explain" in result.stderr


def test_wait_does_not_wait_for_what_was_refused(run, gateway):
    gateway.answers["POST", "/shop/orders"] = (400, {"detail": "TTL spent"})

    result = wait(run, gateway)

    assert result.exit_code == 1
    assert result.stdout == "400 id=1 · TTL spent\n"
    assert gateway.watches_ended == 0


def test_wait_sends_nothing_when_it_cannot_watch(run, gateway):
    gateway.answers["GET", "/api/v1/watch"] = (404, {"detail": "no broker 'shop/orders' here"})

    result = wait(run, gateway)

    assert result.exit_code == 1
    assert "no broker" in result.stderr
    assert [method for method, *_ in gateway.asked] == ["GET"]


def test_wait_needs_a_broker_in_the_url(run, gateway):
    result = run("send", "--to", gateway.url, "--type", "t", "--wait")

    assert result.exit_code == 2
    assert "/NAMESPACE/BROKER" in result.stderr


def test_wait_with_nobody_at_the_admin_address_is_69(run, gateway, nobody):
    result = run("send", "--to", f"{gateway.url}/a/b", "--admin", nobody, "--type", "t", "--wait")

    assert result.exit_code == 69
    assert not gateway.asked
