"""`status`, `healthcheck` and `dlq`: what a running gateway says, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

STATUS: dict[str, Any] = {
    "gateway": "edge", "cluster": "eu", "version": "0.1.0", "generation": 1, "digest": "abc", "state": "ready",
    "ingress": "http://127.0.0.1:8080", "admin": "http://127.0.0.1:8081",
    "transports": [{"name": "embedded", "kind": "embedded", "up": True, "detail": "",
                    "drift": [{"channel": "shop/other", "what": "partitions", "wanted": "10", "found": "3", "hint": ""}]}],
    "brokers": [
        {"name": "shop/orders", "transport": "embedded", "url": "http://127.0.0.1:8080/shop/orders",
         "conditions": [{"type": "Ready", "status": "True", "reason": "", "message": ""}], "accepted": 12,
         "dead_letters": 3},
        {"name": "shop/returns", "transport": "embedded", "url": "http://127.0.0.1:8080/shop/returns",
         "conditions": [], "accepted": 0, "dead_letters": None},
    ],
    "triggers": [
        {"name": "shop/audit", "broker": "shop/orders", "subscriber": "http://audit",
         "conditions": [{"type": "Ready", "status": "False", "reason": "SubscriberUnreachable", "message": "x"}],
         "in_flight": 8, "window": 20, "window_limit": 1000, "parked": 5, "lag": 1204, "oldest_age": 180.0,
         "delivered": 7, "retried": 2, "dead_lettered": 1, "filtered": 4, "last_error": "connection refused"},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _admin(gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_GATEWAY_ADMIN", gateway.url)
    gateway.answers["GET", "/api/v1/status"] = (200, STATUS)


def line_of(text: str, word: str) -> list[str]:
    return next(line for line in text.splitlines() if word in line).split()


def test_status_speaks_knatives_condition_words(run):
    result = run("status")

    assert result.exit_code == 0, result.stderr
    assert line_of(result.stdout, "shop/audit")[:6] == [
        "shop/audit", "False", "SubscriberUnreachable", "1204", "3", "min",
    ]  # fmt: skip
    assert line_of(result.stdout, "shop/orders")[1] == "True"
    assert line_of(result.stdout, "shop/returns")[1] == "Unknown"


@pytest.mark.parametrize(("native", "shown"), [("9.9", "native parts 9.9"), (None, "native parts none")])
def test_status_says_whether_native_parts_are_used(run, gateway, native: str | None, shown: str):
    gateway.answers["GET", "/api/v1/status"] = (200, {**STATUS, "native": native})

    assert shown in run("status").stdout.splitlines()[0]


def test_status_shows_how_channels_differ_from_their_documents(run):
    assert line_of(run("status").stdout, "partitions")[:5] == [
        "shop/other",
        "embedded",
        "partitions",
        "10",
        "3",
    ]


def test_status_gives_each_fault_of_refused_documents_a_line(run, gateway):
    faults = ["mesh.yaml:10:1 MG010 error spec.subscriber: is missing", "mesh.yaml:11:11 MG020 error \x1b[2J"]
    refused = {
        "type": "Configured",
        "status": "False",
        "reason": "ReloadRefused",
        "message": "\n".join(faults),
    }
    gateway.answers["GET", "/api/v1/status"] = (200, {**STATUS, "conditions": [refused]})

    lines = run("status").stdout.splitlines()

    assert lines[2:5] == [
        f"Configured=False ReloadRefused: {faults[0]}",
        "  mesh.yaml:11:11 MG020 error \ufffd[2J",
        "",
    ]


@pytest.mark.parametrize("form", ["json", "jsonl", "yaml"])
def test_status_for_programs_is_the_gateways_own_document(run, form: str):
    assert yaml.safe_load(run("status", "-o", form).stdout) == STATUS


def test_status_of_nobody_is_69(run, nobody):
    result = run("status", "--admin", nobody)

    assert result.exit_code == 69
    assert nobody in result.stderr


def test_the_token_comes_from_the_environment(run, gateway, monkeypatch: pytest.MonkeyPatch):
    gateway.token = "secret"
    assert run("status").exit_code == 1

    monkeypatch.setenv("MESH_GATEWAY_ADMIN_TOKEN", "secret")

    assert run("status").exit_code == 0


@pytest.mark.parametrize(("arguments", "path"), [((), "/livez"), (("--ready",), "/readyz")])
def test_healthcheck_asks_the_right_question(run, gateway, arguments: tuple[str, ...], path: str):
    gateway.answers["GET", path] = (200, b"ok\n")

    result = run("healthcheck", *arguments)

    assert (result.exit_code, result.stdout) == (0, f"OK {gateway.url}{path}\n")


def test_healthcheck_says_no_with_the_gateways_word(run, gateway):
    gateway.answers["GET", "/readyz"] = (503, b"draining\n")

    result = run("healthcheck", "--ready")

    assert result.exit_code == 1
    assert "503 draining" in result.stderr


def test_healthcheck_of_nobody_is_69(run, nobody):
    assert run("healthcheck", "--admin", nobody).exit_code == 69


def letter(position: int, **more: Any) -> dict[str, Any]:
    return {
        "broker": "shop/orders", "position": str(position), "id": f"e{position}", "source": "/s", "type": "t",
        "trigger": "shop/billing", "reason": "status 422", "code": 422, "attempts": 1, "time": 0.0, **more,
    }  # fmt: skip


def page(gateway: Any, query: str, items: list[dict[str, Any]], following: str | None) -> None:
    gateway.answers["GET", f"/api/v1/dead-letters?{query}"] = (200, {"items": items, "next": following})


def test_dead_letters_are_an_array_of_rows_for_programs(run, gateway):
    page(gateway, "broker=shop%2Forders&limit=100", [letter(1), letter(2)], None)

    result = run("dlq", "list", "shop/orders", "-o", "json")

    assert json.loads(result.stdout) == [letter(1), letter(2)]


def test_dead_letters_for_people_have_a_readable_time(run, gateway):
    page(gateway, "broker=shop%2Forders&limit=100", [letter(1, code=None)], None)

    shown = line_of(run("dlq", "list", "shop/orders").stdout, "e1")

    assert shown[-1] == "1970-01-01T00:00:00Z"
    assert shown[-3] == "-"


def test_pages_are_followed_up_to_the_limit(run, gateway):
    page(gateway, "broker=shop%2Forders&limit=1000", [letter(n) for n in range(1000)], "999")
    page(gateway, "broker=shop%2Forders&after=999&limit=1", [letter(1000)], "1000")

    result = run("dlq", "list", "shop/orders", "-o", "jsonl", "--limit", "1001")

    assert len(result.stdout.splitlines()) == 1001
    assert "--limit shows more" in result.stderr


def test_without_a_broker_all_brokers_are_asked(run, gateway):
    page(gateway, "broker=shop%2Forders&limit=100", [letter(1)], None)
    page(gateway, "broker=shop%2Freturns&limit=99", [letter(2, broker="shop/returns")], None)

    result = run("dlq", "list", "-o", "json")

    assert [row["broker"] for row in json.loads(result.stdout)] == ["shop/orders", "shop/returns"]


def test_a_broker_whose_transport_cannot_show_them_does_not_hide_those_of_the_others(run, gateway):
    gateway.answers["GET", "/api/v1/dead-letters?broker=shop%2Forders&limit=100"] = (
        501,
        {"detail": "transport own cannot show what is in a channel"},
    )
    page(gateway, "broker=shop%2Freturns&limit=100", [letter(2, broker="shop/returns")], None)

    result = run("dlq", "list", "-o", "json")

    assert [row["broker"] for row in json.loads(result.stdout)] == ["shop/returns"]
    assert "shop/orders is left out: transport own cannot show" in result.stderr
    assert run("dlq", "list", "shop/orders").exit_code == 1


def test_no_dead_letters_are_an_empty_array_or_a_notice(run, gateway):
    page(gateway, "broker=shop%2Forders&limit=100", [], None)

    assert run("dlq", "list", "shop/orders", "-o", "json").stdout == "[]\n"
    assert run("dlq", "list", "shop/orders").stderr == "no dead letters\n"


def test_a_bare_broker_name_is_in_the_default_namespace(run, gateway):
    page(gateway, "broker=default%2Forders&limit=100", [], None)

    assert run("dlq", "list", "orders").exit_code == 0


@pytest.mark.parametrize("name", ["a/b/c", "/b", "a/", ""])
def test_what_is_no_brokers_name_is_a_usage_error(run, name: str):
    assert run("dlq", "list", name).exit_code == 2


def test_one_dead_letter_is_shown_with_its_event_and_cannot_steer_the_terminal(run, gateway):
    event = {"specversion": "1.0", "id": "e1", "data": "\x9b2J"}
    gateway.answers["GET", "/api/v1/dead-letters/shop/orders/7"] = (200, letter(7, event=event))

    shown = run("dlq", "show", "shop/orders", "7")

    assert "reason    status 422" in shown.stdout
    assert '"data": "\\u009b2J"' in shown.stdout
    assert json.loads(run("dlq", "show", "shop/orders", "7", "-o", "json").stdout)["event"] == event


def redriven(gateway: Any, **result: Any) -> None:
    whole = {
        "matched": 41, "redriven": 0, "by_trigger": {"shop/billing": 41},
        "by_reason": {"timeout": 3, "status 503": 38}, "dry_run": True, **result,
    }  # fmt: skip
    gateway.answers["POST", "/api/v1/dead-letters/shop/orders/redrive"] = (200, whole)


def test_a_redrive_without_yes_is_a_dry_run(run, gateway):
    redriven(gateway)

    result = run("dlq", "redrive", "shop/orders")

    assert result.stdout == (
        "dry run: 41 event(s) → 41×shop/billing · reasons 38×status 503, 3×timeout · run with --yes\n"
    )
    assert json.loads(gateway.last[3]) == {"trigger": None, "limit": None, "dry_run": True}


def test_a_redrive_with_yes_says_what_was_done(run, gateway):
    redriven(gateway, redriven=2, matched=2, by_trigger={"shop/billing": 2}, by_reason={}, dry_run=False)

    result = run("dlq", "redrive", "shop/orders", "--trigger", "billing", "--limit", "2", "--yes")

    assert result.stdout == "redriven: 2 of 2 event(s) → 2×shop/billing\n"
    assert json.loads(gateway.last[3]) == {"trigger": "billing", "limit": 2, "dry_run": False}


def test_a_redrive_that_the_gateway_refuses_is_told(run, gateway):
    gateway.answers["POST", "/api/v1/dead-letters/shop/orders/redrive"] = (
        501, {"detail": "transport kafka cannot take single dead letters out of a channel"},
    )  # fmt: skip

    result = run("dlq", "redrive", "shop/orders", "--yes")

    assert result.exit_code == 1
    assert "cannot take single dead letters" in result.stderr
