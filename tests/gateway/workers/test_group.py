"""A gateway in several processes, from outside: one URL, one admin API, and nothing lost by any of them.

Starting three processes is what costs here, so most tests are told of one group (`two`), whatever others have made of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mesh_gateway.gateway.workers import stores
from mesh_gateway.gateway.workers.asking import Asking
from tests.harness import (
    PATIENCE,
    Answer,
    GatewayProcess,
    Producer,
    Subscriber,
    acknowledged_more,
    load,
    running,
)

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{delivery: {{retry: 0}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t{more}}}
spec: {{broker: b, subscriber: {{uri: "{url}/{path}"}}}}
"""

ONE_AT_A_TIME = ', annotations: {mesh-gateway.dev/parallelism: "1"}'


def documents(subscriber: Subscriber, path: str = "", more: str = "") -> str:
    return DOCUMENTS.format(url=subscriber.url, path=path, more=more)


def gateway(text: str, directory: Path, workers: int = 2) -> GatewayProcess:
    return GatewayProcess(text, directory, options=["--workers", str(workers)])


@asynccontextmanager
async def serving(directory: Path, subscriber: Subscriber, workers: int = 2) -> AsyncIterator[GatewayProcess]:
    async with running(gateway(documents(subscriber), directory, workers)) as started:
        yield started


@dataclass(frozen=True)
class Two:
    """A gateway of two workers, and its subscriber."""

    group: GatewayProcess
    subscriber: Subscriber

    async def has_received(self, ids: list[str]) -> None:
        """Returns once the subscriber has received these."""
        await self.subscriber.received(lambda requests: {r.id for r in requests} >= set(ids))

    async def reload(self, path: str) -> Any:
        """Have events go there from now on; the outcome."""
        self.group.file.write_text(documents(self.subscriber, path))
        return await posted(self.group, "/api/v1/reload", {})


@pytest.fixture(scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    """One for all tests that leave it serving."""
    directory = tmp_path_factory.mktemp("two")
    async with Subscriber() as subscriber, serving(directory, subscriber) as group:
        yield Two(group, subscriber)


async def each_has_some(of: GatewayProcess, ids: str) -> list[str]:
    """Send from new connections until every worker has taken something of it; the ids."""
    before = await taken_by_each(of)
    sent: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while not all(now > then for now, then in zip(await taken_by_each(of), before, strict=True)):
            producer = Producer(of.ingress, "/default/b")
            await producer.send([f"{ids}{len(sent)}"])
            sent += producer.acknowledged
    return sent


async def taken_by_each(of: GatewayProcess) -> list[int]:
    """What each worker says itself that it has accepted."""
    return [status["brokers"][0]["accepted"] for status in await each(of, "/api/v1/status")]


async def each(of: GatewayProcess, target: str) -> list[Any]:
    """What each worker answers by itself."""
    folder = os.open(of.state / stores.FOLDER, os.O_PATH | os.O_DIRECTORY)
    try:
        numbers = sorted(int(path.stem) for path in (of.state / stores.FOLDER).glob("*.sock"))
        found = [await Asking(n, f"/proc/self/fd/{folder}/{n}.sock").get(target) for n in numbers]
    finally:
        os.close(folder)
    return [json.loads(one.body) if one.body.startswith(b"{") else one.body.decode() for one in found]


async def posted(of: GatewayProcess, path: str, document: dict[str, Any]) -> Any:
    def post() -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{of.admin}{path}",
            json.dumps(document).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    return await asyncio.to_thread(post)


async def until(said: Any) -> Any:
    """What it says, once that is something."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await said()):
            await asyncio.sleep(0.05)
    return found


def samples(text: str) -> dict[str, float]:
    """Everything that only grows."""
    return {
        f"{sample.name} {sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(text)
        if family.type in ("counter", "histogram")
        and "config" not in family.name
        and "worker" not in family.name
        for sample in family.samples
    }


async def test_the_workers_share_one_url_and_what_they_count_is_one_sum(two: Two):
    def change(before: dict[str, float], after: dict[str, float], name: str) -> float:
        return after[name] - before.get(name, 0)

    all_before, own_before = await counted(two.group)

    sent = await each_has_some(two.group, "sum")
    await two.has_received(sent)
    status = await two.group.settled()

    all_after, own_after = await counted(two.group)
    for name in all_after:
        together = sum(
            change(*own, name) for own in zip(own_before, own_after, strict=True) if name in own[1]
        )
        assert change(all_before, all_after, name) == together, name
    for name in ("events_accepted_total", "delivery_duration_seconds_count"):
        assert sum(change(all_before, all_after, one) for one in all_after if name in one) == len(sent)
    assert status["brokers"][0]["accepted"] == sum(await taken_by_each(two.group))
    assert [worker["state"] for worker in status["workers"]] == ["ready", "ready"]


async def counted(group: GatewayProcess) -> tuple[dict[str, float], list[dict[str, float]]]:
    """What all workers have counted as the group says it, and what each says by itself."""
    return samples((await group.get("/metrics"))[1]), [
        samples(text) for text in await each(group, "/metrics")
    ]


async def test_a_worker_that_dies_is_started_again_and_the_url_serves_meanwhile(two: Two):
    victim = (await two.group.status())["workers"][1]

    os.kill(victim["pid"], signal.SIGKILL)
    # What the system had given to its socket by then is reset with it; from then on nobody may notice.
    assert await until(lambda: gone(victim["pid"]))
    async with new_connections(two.group) as fates:
        again = await until(lambda: in_place_of(two.group, victim))
        await each_has_some(two.group, "after")

    assert again["restarts"] == victim["restarts"] + 1
    assert await two.group.is_ready()
    assert set(fates) == {"202"}


async def in_place_of(group: GatewayProcess, victim: dict[str, Any]) -> dict[str, Any] | None:
    """The worker that has the place of another one, once it serves."""
    now: dict[str, Any] = (await group.status())["workers"][victim["worker"]]
    return now if now["state"] == "ready" and now["pid"] != victim["pid"] else None


async def gone(pid: int) -> bool:
    """Whether there is no such process; one that is dying has its socket until then."""
    return not Path(f"/proc/{pid}").exists()


@asynccontextmanager
async def new_connections(to: GatewayProcess) -> AsyncIterator[list[str]]:
    """Opens one after the other until the block ends, each for one event; what came of them."""
    fates: list[str] = []

    async def go_on() -> None:
        while True:
            producer = Producer(to.ingress, "/default/b")
            await producer.send([f"meanwhile-{len(fates)}"])
            fates.append(str(producer.answers[0]) if producer.answers else "no answer")
            await asyncio.sleep(0.005)

    sending = asyncio.create_task(go_on())
    try:
        yield fates
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def test_sigterm_ends_all_of_them_in_order_under_load(tmp_path: Path):
    async with Subscriber() as subscriber, serving(tmp_path, subscriber) as group:
        pids = [worker["pid"] for worker in (await group.status())["workers"]]
        async with load(group) as producers:
            await acknowledged_more(producers)

            assert await group.terminate() == 0

        acknowledged = {id for producer in producers for id in producer.acknowledged}

    assert acknowledged <= set(subscriber.ids())
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def test_no_worker_outlives_a_parent_that_is_killed_also_if_its_loop_stands_still(tmp_path: Path):
    async with Subscriber() as subscriber, serving(tmp_path, subscriber) as group:
        pids = [worker["pid"] for worker in (await group.status())["workers"]]
        os.kill(pids[1], signal.SIGSTOP)
        try:
            await group.kill()
            await group.start()

            now = [worker["pid"] for worker in (await group.status())["workers"]]
            sent = await each_has_some(group, "after")
            await subscriber.received(lambda requests: {r.id for r in requests} >= set(sent))
            assert not set(now) & set(pids)
            for pid in pids:  # init has its time to take note of their end
                assert await until(lambda pid=pid: gone(pid))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[1], signal.SIGKILL)


async def test_fewer_workers_deliver_what_the_others_have_left(tmp_path: Path):
    async with Subscriber() as subscriber:
        subscriber.answering.clear()
        async with serving(tmp_path, subscriber) as group:
            sent = await each_has_some(group, "early")
            await group.kill()
        subscriber.requests.clear()
        subscriber.answering.set()

        group = gateway(documents(subscriber), tmp_path, workers=1)
        async with running(group):
            await subscriber.received(lambda requests: {r.id for r in requests} >= set(sent))
            status = await group.settled()
            assert [(w["worker"], w["ingress"]) for w in status["workers"]] == [
                (0, True),
                (1, False),
            ]
            assert await group.terminate() == 0
        async with running(group):
            assert "workers" not in await group.status(), (
                "there is nothing left, and this is one process as ever"
            )


async def test_a_reload_is_one_of_all_workers(two: Two):
    before = (await two.group.status())["generation"]

    outcome = await two.reload("changed")
    sent = await each_has_some(two.group, "reloaded")

    await two.has_received(sent)
    assert outcome["result"] == "applied"
    assert {request.path for request in two.subscriber.requests if request.id in sent} == {"/changed"}
    assert (await two.group.status())["generation"] == before + 1
    assert [status["digest"] for status in await each(two.group, "/api/v1/status")] == [outcome["digest"]] * 2


async def test_a_worker_that_dies_begins_with_the_documents_of_the_last_reload(two: Two):
    outcome = await two.reload("changed-again")
    victim = (await two.group.status())["workers"][0]

    os.kill(victim["pid"], signal.SIGKILL)

    assert await until(lambda: in_place_of(two.group, victim))
    assert await until(lambda: all_serve(two.group, outcome["digest"]))


async def all_serve(group: GatewayProcess, digest: str) -> bool:
    status = await group.status()
    up = [worker["state"] for worker in status["workers"]] == ["ready", "ready"]
    return up and [one["digest"] for one in await each(group, "/api/v1/status")] == [digest] * 2


async def test_documents_that_several_workers_cannot_serve_change_nothing(two: Two):
    before = await two.group.status()
    two.group.file.write_text(documents(two.subscriber, more=ONE_AT_A_TIME))
    os.kill(two.group.pid, signal.SIGHUP)

    async def refused() -> Any:
        return next((c for c in (await two.group.status())["conditions"] if c["status"] == "False"), None)

    condition = await until(refused)

    assert condition["reason"] == "ReloadRefused"
    assert "MG057" in condition["message"]
    assert [one["digest"] for one in await each(two.group, "/api/v1/status")] == [before["digest"]] * 2


ORDERED = ", annotations: {mesh-gateway.dev/order: ordered}"


async def test_while_ordered_events_wait_their_workers_stay_as_many(tmp_path: Path):
    async with Subscriber(lambda request: Answer(503)) as subscriber:
        text = documents(subscriber, more=ORDERED).replace("retry: 0", "retry: 1000, backoffDelay: PT1S")
        async with running(gateway(text, tmp_path, 2)) as group:
            producer = Producer(group.ingress, "/default/b")
            await producer.send([str(number) for number in range(8)])
            assert len(producer.acknowledged) == 8
            await group.terminate()

        for other in (3, 1):
            group = gateway(text, tmp_path, other)
            async with refused(group):
                assert await group.wait() == 78
            assert "MG058" in group.log.read_text()
            assert "Run 2" in group.log.read_text()

        subscriber.answer = lambda request: Answer()
        async with running(gateway(text, tmp_path, 2)) as group:
            await subscriber.received(lambda requests: len(subscriber.answered) == 8)
            await group.settled()
            await group.terminate()
        async with running(gateway(text, tmp_path, 3)) as group:
            assert len((await group.status())["workers"]) == 3


async def test_a_state_that_does_not_say_how_many_workers_it_had_is_not_served(tmp_path: Path):
    async with Subscriber() as subscriber:
        for number, options in enumerate(([], ["--workers", "2"])):
            directory = tmp_path / str(number)
            directory.mkdir()
            group = GatewayProcess(documents(subscriber), directory, options=options)
            (group.state / stores.FOLDER).mkdir(parents=True)
            (group.state / stores.FOLDER / stores.NUMBER).write_text("two")
            async with refused(group):
                assert await group.wait() == 74
            assert "how many workers" in group.log.read_text()
            assert "Traceback" not in group.log.read_text()


async def test_what_several_workers_cannot_keep_is_refused_at_the_start(tmp_path: Path):
    async with Subscriber() as subscriber:
        group = gateway(documents(subscriber, more=ONE_AT_A_TIME), tmp_path)
        async with refused(group):
            assert await group.wait() == 78

    assert "MG057" in group.log.read_text()


@asynccontextmanager
async def refused(group: GatewayProcess) -> AsyncIterator[None]:
    """A gateway that has been started and need not live."""
    starting = asyncio.ensure_future(group.start())
    try:
        await asyncio.wait([starting], timeout=PATIENCE)
        yield
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        if group.runs:
            await group.kill()


async def test_a_port_that_is_taken_is_an_error_at_the_start_also_by_other_workers(two: Two, tmp_path: Path):
    second = gateway(documents(two.subscriber), tmp_path)
    second.ingress = two.group.ingress

    async with refused(second):
        assert await second.wait() == 78

    assert f"cannot listen on 127.0.0.1:{two.group.ingress}" in second.log.read_text()


async def test_a_state_directory_in_use_is_an_error_at_the_start(two: Two, tmp_path: Path):
    second = gateway(documents(two.subscriber), tmp_path)
    second.state = two.group.state

    async with refused(second):
        assert await second.wait() == 74

    assert f"in use by process {two.group.pid}" in second.log.read_text()


async def test_documents_that_no_worker_can_serve_end_all_with_78(tmp_path: Path):
    async with Subscriber() as subscriber:
        text = documents(subscriber).replace("http://", "nosuch://")
        group = gateway(text, tmp_path)
        async with refused(group):
            assert await group.wait() == 78


async def test_dead_letters_of_all_workers_are_listed_shown_and_sent_again(two: Two):
    group, subscriber = two.group, two.subscriber
    subscriber.answer = lambda request: Answer(400)
    sent = await each_has_some(group, "dead")

    async def all_dead() -> Any:
        found = await group.dead_letters()
        return found if len(found) == len(sent) else None

    letters = await until(all_dead)
    first_page = (await group.get("/api/v1/dead-letters?broker=default/b&limit=2"))[1]
    shown = [
        (await group.get(f"/api/v1/dead-letters/default/b/{letter['position']}"))[1] for letter in letters
    ]
    _, absent = await group.get("/api/v1/dead-letters/default/b/1.99999")
    dry = await posted(group, "/api/v1/dead-letters/default/b/redrive", {"limit": 2})
    subscriber.answer = lambda request: Answer()
    done = await posted(group, "/api/v1/dead-letters/default/b/redrive", {"dry_run": False})

    await subscriber.received(lambda requests: subscriber.answered >= set(sent))
    assert {letter["id"] for letter in letters} == set(sent)
    assert len({letter["position"] for letter in letters}) == len(sent)
    assert first_page["next"] == letters[1]["position"]
    assert [letter["event"]["id"] for letter in shown] == [letter["id"] for letter in letters]
    assert "no dead letter at position" in absent
    assert dry["by_trigger"] == {"default/t": 2}
    assert done["redriven"] == len(sent)
    assert await group.dead_letters() == []


async def test_an_event_can_be_watched_whichever_worker_takes_it(two: Two):
    for number in range(6):
        facts = await watched(two.group, f"w{number}")

        assert [fact["event"] for fact in facts] == ["watching", "matched", "attempt", "ended", "done"]


async def watched(group: GatewayProcess, id: str) -> list[dict[str, Any]]:
    """The facts about an event that is sent once somebody watches."""
    reader, writer = await asyncio.open_connection("127.0.0.1", group.admin)
    target = f"/api/v1/watch?broker=default/b&source=/tests&id={id}"
    writer.write(f"GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    facts: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while not facts or facts[-1]["event"] != "done":
            line = await reader.readline()
            if line.startswith(b"{"):
                facts.append(json.loads(line))
            if facts == [{"event": "watching"}]:
                await Producer(group.ingress, "/default/b").send([id])
                facts.append({"event": "sent"})
    writer.transport.abort()
    return [fact for fact in facts if fact["event"] != "sent"]
