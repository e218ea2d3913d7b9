"""The client of the admin API, against a real socket."""

from __future__ import annotations

import socket
import time

import click
import pytest

from mesh_gateway.cli.admin import AdminClient
from mesh_gateway.cli.exits import CheckFailed, Unreachable


def test_parts_of_a_path_and_of_a_query_are_encoded(gateway):
    path = "/api/v1/a%2Fb/c%20d?broker=x%2Fy&limit=3"
    gateway.answers["GET", path] = (200, {"ok": True})

    assert AdminClient(gateway.url).get("a/b", "c d", broker="x/y", after=None, limit=3) == {"ok": True}


def test_a_path_in_the_url_stays(gateway):
    gateway.answers["GET", "/behind/a/proxy/api/v1/status"] = (200, {})

    assert AdminClient(gateway.url + "/behind/a/proxy/").get("status") == {}


def test_the_token_is_sent(gateway):
    gateway.token = "secret"
    gateway.answers["GET", "/api/v1/status"] = (200, {})

    assert AdminClient(gateway.url, "secret").get("status") == {}
    with pytest.raises(CheckFailed, match="asks for a token"):
        AdminClient(gateway.url, "wrong").get("status")


def test_a_token_that_no_header_can_hold_is_a_usage_error(gateway):
    with pytest.raises(click.BadParameter, match="printable"):
        AdminClient(gateway.url, "a\nb")


def test_a_refusal_is_told_in_the_gateways_words(gateway):
    gateway.answers["GET", "/api/v1/x"] = (404, {"detail": "no broker 'x' here"})

    with pytest.raises(CheckFailed, match="no broker 'x' here"):
        AdminClient(gateway.url).get("x")


def test_nobody_there_names_the_address_and_the_way_out(nobody):
    with pytest.raises(Unreachable, match=rf"cannot reach {nobody}: connection refused.*--admin URL"):
        AdminClient(nobody).get("status")


@pytest.mark.parametrize(
    "answer", [(200, b"<html>"), (404, b"not found"), (405, {"detail": "events are sent with POST"})]
)
def test_another_server_is_not_taken_for_a_gateway(gateway, answer):
    gateway.answers["GET", "/api/v1/status"] = answer

    with pytest.raises(Unreachable, match="not the admin API"):
        AdminClient(gateway.url).get("status")


def test_silence_ends_in_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"

        with pytest.raises(Unreachable, match="no answer in time"):
            AdminClient(url, timeout=0.05).get("status")


@pytest.mark.parametrize(
    "url", ["localhost:8081", "ftp://x", "http://", "http://a:b", "http://h:99999", "http://a b", "http://ü"]
)
def test_what_is_no_url_is_a_usage_error(url: str):
    with pytest.raises(click.BadParameter):
        AdminClient(url)


def test_a_stream_gives_its_lines_as_they_come(gateway):
    gateway.facts = [{"event": "matched", "triggers": []}, {"event": "done"}]

    with AdminClient(gateway.url).follow(
        "watch", until=time.monotonic() + 10, broker="a/b", source="/s", id="1"
    ) as facts:
        first = next(facts)
        gateway.arrive()
        rest = list(facts)

    assert first == {"event": "watching"}
    assert rest == gateway.facts


def test_a_stream_ends_when_the_time_is_up(gateway):
    with AdminClient(gateway.url).follow(
        "watch", until=time.monotonic() + 0.1, broker="a/b", source="/s", id="1"
    ) as facts:
        assert list(facts) == [{"event": "watching"}]
        assert gateway.watches_ended == 0


def test_a_refused_stream_is_told_before_its_first_line(gateway):
    gateway.answers["GET", "/api/v1/watch"] = (404, {"detail": "no broker 'x/y' here"})

    with (
        pytest.raises(CheckFailed, match="no broker"),
        AdminClient(gateway.url).follow(
            "watch", until=time.monotonic() + 10, broker="x/y", source="/s", id="1"
        ),
    ):
        pass
