"""`receive`: as a process with a real producer, and its answers one by one."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.cli.receive import Failing, Subscriber

HEADERS = [(b"ce-specversion", b"1.0"), (b"ce-id", b"1"), (b"ce-source", b"/s"), (b"ce-type", b"t")]


@contextlib.contextmanager
def receiving(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A `receive` process and its URL; it must end by itself."""
    command = [sys.executable, "-m", "mesh_gateway", "receive", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        try:
            assert first.startswith("listening on http://"), first
            yield first.split()[-1], process
        finally:
            process.kill()


def post(url: str) -> tuple[int, bytes]:
    headers = {name.decode(): value.decode() for name, value in HEADERS}
    request = urllib.request.Request(url, data=b"", headers={**headers, "content-type": ""}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_process_fails_as_asked_then_takes_then_ends_by_itself():
    with receiving("--fail", "503x2", "--count", "1", "-o", "jsonl") as (url, process):
        statuses = [post(url)[0] for _ in range(3)]
        out, err = process.communicate(timeout=10)

    assert statuses == [503, 503, 202]
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["1"]
    assert err.count("answered 503") == 2
    assert process.returncode == 0


def test_a_port_that_is_taken_is_78(run):
    with receiving("--count", "1") as (url, _):
        result = run("receive", "--port", url.rpartition(":")[2])

    assert result.exit_code == 78
    assert "address already in use" in result.stderr


async def ask(
    subscriber: Subscriber, *, method: str = "POST", headers: Any = HEADERS, body: bytes = b""
) -> tuple[int, bytes, dict[bytes, bytes]]:
    """One request to the ASGI application."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await subscriber({"type": "http", "method": method, "headers": headers}, receive, send)
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


def subscriber(**settings: Any) -> Subscriber:
    usual: dict[str, Any] = {"fail": None, "delay": 0.0, "reply": None, "count": None, "form": "text"}
    return Subscriber(**usual | settings)


async def test_an_event_is_printed_for_a_person(capsys: pytest.CaptureFixture[str]):
    status, _, _ = await ask(
        subscriber(), headers=[*HEADERS, (b"content-type", b"text/plain")], body=b"h\x1bi"
    )

    shown = capsys.readouterr().out
    assert status == 202
    assert "type: t" in shown
    assert "h�i" in shown


async def test_without_a_number_it_fails_always():
    one = subscriber(fail=Failing(422, None))

    assert [(await ask(one))[0] for _ in range(3)] == [422, 422, 422]
    assert one.taken == 0


async def test_a_reply_is_an_event_with_an_id_of_its_own(tmp_path: Path):
    path = tmp_path / "reply.json"
    path.write_text(json.dumps({"type": "billed", "source": "/billing", "data": {"total": 1}}))
    one = subscriber(reply=str(path))

    answers = [await ask(one) for _ in range(2)]

    replies = [json.loads(body) for _, body, _ in answers]
    assert [status for status, _, _ in answers] == [200, 200]
    assert answers[0][2][b"content-type"] == b"application/cloudevents+json"
    assert {reply["type"] for reply in replies} == {"billed"}
    assert replies[0]["id"] != replies[1]["id"]


async def test_what_is_no_event_is_refused_with_the_reason(capsys: pytest.CaptureFixture[str]):
    status, body, _ = await ask(subscriber(), headers=HEADERS[:-1])

    assert status == 400
    assert b"type: missing" in body
    assert "type: missing" in capsys.readouterr().err


async def test_only_post_is_taken():
    status, _, headers = await ask(subscriber(), method="GET")

    assert (status, headers[b"allow"]) == (405, b"POST")


async def test_a_batch_counts_every_event():
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    one = subscriber(count=2)

    status, _, _ = await ask(
        one,
        headers=[(b"content-type", b"application/cloudevents-batch+json")],
        body=json.dumps([event, {**event, "id": "2"}]).encode(),
    )

    assert (status, one.taken, one.stop.is_set()) == (202, 2, True)


@pytest.mark.parametrize("fail", ["200", "503x0", "x3", "5033"])
def test_a_failure_that_makes_no_sense_is_a_usage_error(run, fail: str):
    assert run("receive", "--fail", fail).exit_code == 2


def test_a_reply_that_is_no_event_is_found_before_listening(run, tmp_path: Path):
    path = tmp_path / "reply.json"
    path.write_text("{}")

    result = run("receive", "--reply", str(path))

    assert result.exit_code == 2
    assert "type: missing" in result.stderr
