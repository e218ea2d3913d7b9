"""What the parent answers while a worker is deaf, dies, or is asked twice at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.exceptions import HTTPException
from starlette.requests import Request

from mesh_gateway import native
from mesh_gateway.gateway.documents import Documents, nothing_to_read
from mesh_gateway.gateway.workers.admin.deadletters import GroupDeadLetters
from mesh_gateway.gateway.workers.admin.status import GroupStatus
from mesh_gateway.gateway.workers.admin.watch import GroupWatch
from mesh_gateway.gateway.workers.asking import Answer, Silent
from mesh_gateway.gateway.workers.group import Group
from mesh_gateway.gateway.workers.worker import Worker
from mesh_gateway.topology.spec import BrokerSpec, GatewaySpec, TransportSpec
from mesh_gateway.transport.plugins import load_plugins
from tests.harness import PATIENCE

SPEC = GatewaySpec(
    transports={"main": TransportSpec("main", "embedded")}, brokers={"ns/b": BrokerSpec("ns", "b", "main")}
)
NOTHING: Mapping[str, Any] = {"transports": [], "brokers": [], "triggers": [], "removed": [], "relays": []}

Say = Callable[[str], Awaitable[Answer]]
"""What a worker answers, by target."""


class Scripted(Worker):
    """A worker without a process, whose admin API is the test's."""

    def __init__(self, number: int, say: Say) -> None:
        def begin() -> Any:
            raise AssertionError("nobody starts it")

        super().__init__(number, lambda name: "nowhere", begin, asyncio.Lock())
        self.asking = Saying(say)  # type: ignore[assignment]  # as far as it is asked here
        self.state = "ready"
        self.up.set()


class Saying:
    def __init__(self, say: Say) -> None:
        self.say = say

    async def get(self, target: str) -> Answer:
        return await self.say(target)

    async def post(self, target: str, document: Mapping[str, Any]) -> Answer:
        return await self.say(target)


class Front:
    """Addresses that nobody has to reach."""

    urls: Mapping[str, str] = {}


def group_of(*says: Say) -> Group:
    """A gateway that is ready, of workers that answer like this."""
    group = Group(Documents(SPEC, nothing_to_read), load_plugins([]), lambda facts: None, len(says), "info")
    group.state = "ready"
    group._front = Front()  # type: ignore[assignment]
    group._workers += [Scripted(number, say) for number, say in enumerate(says)]
    return group


def says(status: int, document: Mapping[str, Any] | None = None) -> Say:
    async def say(target: str) -> Answer:
        return Answer(status, json.dumps(document or {}).encode())

    return say


async def silent(target: str) -> Answer:
    raise Silent("worker 1 gives no answer in time")


async def for_ever(target: str) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


def request(query: str = "", body: Mapping[str, Any] | None = None, **path: str) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body or {}).encode()}

    scope: Mapping[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": None}
    return Request({**scope, "query_string": query.encode(), "path_params": path}, receive)


def accepted(text: bytes) -> float:
    return next(
        sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == "mesh_gateway_events_accepted_total"
    )


def counted(count: int) -> Answer:
    name = "mesh_gateway_events_accepted_total"
    return Answer(200, f'# TYPE {name} counter\n{name}{{broker="ns/b"}} {count}\n'.encode())


# ── metrics ──────────────────────────────────────────────────────────────────────────────────


async def test_no_counter_falls_when_two_scrape_at_a_time():
    counts = iter([3, 5])
    go_on = asyncio.Event()

    async def first_is_late(target: str) -> Answer:
        count = next(counts, None)
        if count is None:
            return await silent(target)
        if count == 3:
            await go_on.wait()
        return counted(count)

    group = group_of(first_is_late)
    scrapes = [asyncio.create_task(group.metrics()) for _ in range(2)]
    for _ in range(10):
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*scrapes)

    assert accepted(await group.metrics()) == 5


async def test_what_a_worker_had_counted_before_it_died_is_not_taken_for_the_next_one():
    counts = iter([3, 1])

    async def dies_after_its_answer(target: str) -> Answer:
        count = next(counts)
        if count == 3:
            group._workers[0].restarts += 1
        return counted(count)

    group = group_of(dies_after_its_answer)
    await group.metrics()

    assert accepted(await group.metrics()) == 4


# ── readiness and status ─────────────────────────────────────────────────────────────────────


async def test_nobody_waits_for_a_deaf_worker_to_hear_that_another_one_is_ready():
    group = group_of(says(200), says(200))
    assert await group.ready()
    group._workers[1] = Scripted(1, for_ever)

    async with asyncio.timeout(PATIENCE):
        assert await group.ready()


async def test_the_first_time_all_workers_have_to_be_ready():
    assert not await group_of(says(200), says(503)).ready()
    assert not await group_of(says(200), silent).ready()


async def test_the_status_names_a_worker_that_it_has_not_heard():
    group = group_of(says(200, NOTHING), silent)

    errors = [worker["error"] for worker in (await group.status())["workers"]]

    assert errors == ["", "it does not answer at the moment; what is shown here is without it"]


async def test_the_status_says_which_native_parts_are_used_as_that_of_one_process_does():
    assert (await group_of(says(200, NOTHING)).status())["native"] == native.PARTS.version


async def test_a_worker_that_does_not_answer_is_a_failed_check_and_not_the_whole_answer():
    check = {"name": "disk", "ok": True, "detail": ""}
    group = group_of(says(200, {**NOTHING, "checks": [check]}), silent)

    answer = await GroupStatus(group).ready(request("verbose"))

    assert json.loads(bytes(answer.body))["checks"] == [
        {**check, "name": "worker 0: disk"},
        {"name": "worker 1", "ok": False, "detail": "worker 1 gives no answer in time"},
    ]


# ── dead letters and watching ────────────────────────────────────────────────────────────────


async def test_a_redrive_that_one_worker_cannot_do_says_what_others_have_done():
    done = {"matched": 7, "redriven": 7, "by_trigger": {"ns/t": 7}, "by_reason": {}}
    letters = GroupDeadLetters(group_of(says(200, done), silent))

    with pytest.raises(HTTPException) as error:
        await letters.redrive(request(body={"dry_run": False}, namespace="ns", broker="b"))

    assert error.value.status_code == 503
    assert error.value.detail == (
        "worker 1 gives no answer in time; 7 of other workers were redriven before that"
    )


async def test_an_event_cannot_be_watched_while_no_worker_serves():
    group = group_of(says(200))
    group._workers[0].up.clear()

    with pytest.raises(HTTPException) as error:
        await GroupWatch(group).watch(request("broker=ns/b&source=/s&id=1"))

    assert (error.value.status_code, error.value.detail) == (503, "no worker serves at the moment")
