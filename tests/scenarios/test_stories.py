"""Users' stories, from YAML to effect, with a whole gateway process and a recording subscriber."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway import native
from tests.harness import (
    HANG,
    Answer,
    GatewayProcess,
    Producer,
    Request,
    Subscriber,
    post,
    running,
    send_batch,
)
from tests.transports import ON_MAIN, Mesh

BROKER = f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{ON_MAIN}}}
"""


def embedded(documents: str, directory: Path, environment: dict[str, str] | None = None) -> GatewayProcess:
    """A gateway without any Transport document, for what has nothing to do with transports."""
    return GatewayProcess(documents.replace(f"spec: {{{ON_MAIN}}}", ""), directory, environment)


CE = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/tests", "ce-type": "t"}


def trigger(name: str, url: str, more: str = "", annotations: str = "") -> str:
    return (
        "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\n"
        f"metadata: {{name: {name}, annotations: {{{annotations}}}}}\n"
        f'spec: {{broker: b, subscriber: {{uri: "{url}/{name}"}}{", " + more if more else ""}}}\n'
    )


async def one(gateway: GatewayProcess, **headers: str) -> int:
    """Post one event with these headers laid over a valid one's."""
    given = {**CE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await asyncio.to_thread(post, gateway.url + "/default/b", b"{}", given)


def waiting_for(count: int) -> Any:
    return lambda requests: len(requests) >= count


async def test_filters_decide_who_gets_what_in_every_dialect(mesh: Mesh):
    async with Subscriber() as s:
        documents = BROKER + "".join(
            [
                trigger("exact", s.url, "filters: [{exact: {type: order.created}}]"),
                trigger("old", s.url, "filter: {attributes: {type: order.created, subject: ''}}"),
                trigger("prefix", s.url, "filters: [{prefix: {type: order.}}, {suffix: {source: /eu}}]"),
                trigger(
                    "neither",
                    s.url,
                    "filters: [{not: {any: [{prefix: {type: order.}}, {exact: {type: x}}]}}]",
                ),
                trigger("cesql", s.url, "filters: [{cesql: \"type LIKE 'order.%' AND EXISTS vip\"}]"),
                trigger("all", s.url),
            ]
        )
        gateway = mesh(documents)
        async with running(gateway):
            assert await one(gateway, ce_id="a", ce_type="order.created", ce_source="/shop/eu") == 202
            assert (
                await one(gateway, ce_id="b", ce_type="order.paid", ce_source="/shop/us", ce_vip="yes") == 202
            )
            assert await one(gateway, ce_id="c", ce_type="other", ce_subject="s") == 202
            await s.received(waiting_for(7))
            await gateway.settled()

    got = {name: sorted(s.ids(f"/{name}")) for name in ("exact", "old", "prefix", "neither", "cesql", "all")}
    assert got == {
        "exact": ["a"], "old": [], "prefix": ["a"], "neither": ["c"], "cesql": ["b"], "all": ["a", "b", "c"],
    }  # fmt: skip


async def test_a_reply_is_a_new_event_and_a_loop_of_replies_ends_in_the_dead_letters(mesh: Mesh):
    def answer(request: Request) -> Answer:
        number = int(request.id) + 1
        return Answer(200, {**CE, "ce-id": str(number), "ce-type": "t"})

    async with Subscriber(answer) as s:
        gateway = mesh(BROKER + trigger("echo", s.url))
        async with running(gateway):
            assert await one(gateway, ce_knativebrokerttl="6") == 202
            await s.received(waiting_for(5))
            await gateway.settled()
            _, page = await gateway.get("/api/v1/dead-letters?broker=default/b")

    assert s.ids("/echo") == ["1", "2", "3", "4", "5"]
    (letter,) = page["items"]
    assert (letter["id"], letter["trigger"]) == ("5", "default/echo")
    assert "reply refused" in letter["reason"]


async def test_what_a_subscriber_refuses_goes_to_the_dead_letter_sink_with_the_reason(mesh: Mesh):
    def answer(request: Request) -> Answer:
        return Answer(422, body=b"no such customer") if request.path == "/billing" else Answer()

    async with Subscriber(answer) as s:
        letters = f'delivery: {{retry: 3, deadLetterSink: {{uri: "{s.url}/letters"}}}}'
        gateway = mesh(BROKER + trigger("billing", s.url, letters))
        async with running(gateway):
            await one(gateway)
            await s.received(waiting_for(2))

    (letter,) = [r for r in s.requests if r.path == "/letters"]
    assert letter.headers["ce-knativeerrordest"] == f"{s.url}/billing"
    assert letter.headers["ce-knativeerrorcode"] == "422"
    assert base64.b64decode(letter.headers["ce-knativeerrordata"]) == b"no such customer"
    assert letter.headers["ce-meshtrigger"] == "default/billing"
    assert letter.headers["ce-meshattempts"] == "1"
    assert "prefer" not in letter.headers


async def test_dead_letters_are_listed_shown_and_redriven_to_the_trigger_that_failed_only(mesh: Mesh):
    broken = True

    def answer(request: Request) -> Answer:
        return Answer(500 if broken and request.path == "/fragile" else 202)

    async with Subscriber(answer) as s:
        documents = BROKER + trigger("fragile", s.url, "delivery: {retry: 0}") + trigger("sound", s.url)
        gateway = mesh(documents)
        async with running(gateway):
            await send_batch(gateway, "/default/b", ["1", "2", "3"])
            await s.received(waiting_for(6))
            await gateway.settled()
            before = (await gateway.status())["brokers"][0]["dead_letters"]
            _, metrics = await gateway.get("/metrics")
            _, page = await gateway.get("/api/v1/dead-letters?broker=default/b&limit=2")
            _, rest = await gateway.get(f"/api/v1/dead-letters?broker=default/b&after={page['next']}")
            _, shown = await gateway.get(f"/api/v1/dead-letters/default/b/{page['items'][0]['position']}")
            broken = False
            dry = await redrive(gateway, {"trigger": "fragile", "limit": None, "dry_run": True})
            wet = await redrive(gateway, {"trigger": None, "limit": 2, "dry_run": False})
            await s.received(waiting_for(8))
            _, left = await gateway.get("/api/v1/dead-letters?broker=default/b")
            after = (await gateway.status())["brokers"][0]["dead_letters"]

    assert (before, after) == (3, 1)
    assert 'backlog_events{broker="default/b",channel="dead-letters",group="operators"} 3.0' in metrics
    listed = [item["id"] for item in page["items"] + rest["items"]]
    assert sorted(listed) == ["1", "2", "3"]  # three attempts at once: they may end in any order
    assert shown["event"]["meshtrigger"] == "default/fragile"
    assert (dry["matched"], dry["redriven"]) == (3, 0)
    assert dry["by_reason"] == {"status 500": 3}
    assert (wet["matched"], wet["redriven"]) == (2, 2)
    assert s.ids("/sound") == s.ids("/sound")[:3]
    assert sorted(s.ids("/fragile")[3:]) == sorted(listed[:2]), "the oldest first"
    again = [r for r in s.requests if r.path == "/fragile"][3]
    assert not any(name.startswith(("ce-mesh", "ce-knativeerror")) for name in again.headers)
    assert [item["id"] for item in left["items"]] == listed[2:]


async def test_the_limit_of_a_redrive_passes_by_letters_whose_trigger_is_gone(mesh: Mesh):
    broken = True

    def answer(request: Request) -> Answer:
        return Answer(500 if broken else 202)

    async with Subscriber(answer) as s:
        gateway = mesh(BROKER + trigger("former", s.url, "delivery: {retry: 0}"))
        async with running(gateway):
            await send_batch(gateway, "/default/b", ["1", "2"])
            await s.received(waiting_for(2))
            await gateway.settled()
            await gateway.terminate()
        mesh.rewrite(gateway, BROKER + trigger("later", s.url, "delivery: {retry: 0}"))
        async with running(gateway):
            await send_batch(gateway, "/default/b", ["3"])
            await s.received(waiting_for(3))
            await gateway.settled()
            broken = False
            done = await redrive(gateway, {"trigger": None, "limit": 1, "dry_run": False})
            await s.received(waiting_for(4))

    assert (done["matched"], done["redriven"]) == (3, 1)
    assert done["by_reason"]["no such trigger: default/former"] == 2
    assert s.ids("/later") == ["3", "3"]


async def redrive(gateway: GatewayProcess, wanted: dict[str, Any]) -> dict[str, Any]:
    import urllib.request

    def ask() -> dict[str, Any]:
        url = f"http://127.0.0.1:{gateway.admin}/api/v1/dead-letters/default/b/redrive"
        body, kind = json.dumps(wanted).encode(), {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=10) as response:
            found: dict[str, Any] = json.load(response)
            return found

    return await asyncio.to_thread(ask)


async def test_ordered_delivery_keeps_each_keys_order_through_retries(mesh: Mesh):
    mesh.backing.skip_without("order")
    seen: dict[str, int] = {}

    def answer(request: Request) -> Answer:
        seen[request.id] = seen.get(request.id, 0) + 1
        return Answer(503 if hash(request.id) % 3 == 0 and seen[request.id] == 1 else 202)

    async with Subscriber(answer) as s:
        delivery = "delivery: {retry: 5, backoffPolicy: linear, backoffDelay: PT0.02S}"
        ordered = "kafka.eventing.knative.dev/delivery.order: ordered, mesh-gateway.dev/window: '20'"
        gateway = mesh(BROKER + trigger("t", s.url, delivery, ordered))
        async with running(gateway):
            for key in "abc":
                for first in range(0, 100, 50):
                    ids = [f"{key}{n:03}" for n in range(first, first + 50)]
                    await send_batch(gateway, "/default/b", ids, partitionkey=key)
            await gateway.settled()

    for key in "abc":
        accepted = list(dict.fromkeys(id for id in reversed(s.ids()) if id.startswith(key)))[::-1]
        assert accepted == [f"{key}{n:03}" for n in range(100)]


async def test_a_dedicated_trigger_starts_where_it_is_told(mesh: Mesh):
    mesh.backing.skip_without("groups")
    old = [] if "history" in mesh.backing.lacks else ["old1", "old2"]
    async with Subscriber() as s:
        base = BROKER + trigger("first", s.url)
        gateway = mesh(base)
        async with running(gateway):
            await send_batch(gateway, "/default/b", ["old1", "old2"])
            await s.received(waiting_for(2))
            await gateway.settled()
            await gateway.terminate()
        late = trigger(
            "late", s.url, annotations="mesh-gateway.dev/read: dedicated, mesh-gateway.dev/start: latest"
        )
        early = trigger(
            "early", s.url, annotations="mesh-gateway.dev/read: dedicated, mesh-gateway.dev/start: earliest"
        )
        mesh.rewrite(gateway, base + late + early)
        async with running(gateway):
            await send_batch(gateway, "/default/b", ["new"])
            await s.received(waiting_for(5 + len(old)))

    assert s.ids("/late") == ["new"]
    assert sorted(s.ids("/early")) == ["new", *old]  # unordered: attempts run side by side


async def test_broker_to_broker_in_one_gateway_needs_no_http(mesh: Mesh):
    async with Subscriber() as s:
        documents = f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{ON_MAIN}}}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: second}}
spec: {{{ON_MAIN}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: over}}
spec: {{broker: b, subscriber: {{ref: {{apiVersion: eventing.knative.dev/v1, kind: Broker, name: second}}}}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: end}}
spec: {{broker: second, subscriber: {{uri: "{s.url}/end"}}}}
"""
        gateway = mesh(documents)
        async with running(gateway):
            await one(gateway, traceparent="00-1")
            (request,) = await s.received(waiting_for(1))

    assert request.path == "/end"
    assert request.headers["traceparent"] == "00-1"


async def test_a_full_window_with_overflow_block_holds_the_reader_and_loses_nothing(mesh: Mesh):
    async with Subscriber() as s:
        annotations = "mesh-gateway.dev/overflow: block, mesh-gateway.dev/window: '5'"
        gateway = mesh(BROKER + trigger("t", s.url, annotations=annotations))
        async with running(gateway):
            await send_batch(gateway, "/default/b", [str(n) for n in range(500)])
            await s.received(waiting_for(500))
            status = await gateway.settled()

    assert sorted(s.ids(), key=int) == [str(n) for n in range(500)]
    assert status["triggers"][0]["parked"] == 0


async def test_the_admin_api_asks_for_its_token_and_web_pages_are_refused(tmp_path: Path):
    documents = (
        "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\n"
        "spec: {admin: {token: {valueFrom: {env: ADMIN}}}}\n---" + BROKER
    )
    gateway = embedded(documents, tmp_path, {"ADMIN": "s3cret-canary"})
    base = f"http://127.0.0.1:{gateway.admin}"

    def get(path: str, **headers: str) -> int:
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(urllib.request.Request(base + path, headers=headers), timeout=5) as r:
                return int(r.status)
        except urllib.error.HTTPError as error:
            return error.code

    async with running(gateway):
        assert await asyncio.to_thread(get, "/livez") == 200
        assert await asyncio.to_thread(get, "/api/v1/status") == 401
        assert await asyncio.to_thread(get, "/metrics", Authorization="Bearer wrong") == 401
        assert await asyncio.to_thread(get, "/metrics", Authorization="Bearer s3cret-canary") == 200
        assert await asyncio.to_thread(get, "/livez", Origin="http://evil.example") == 403
        await gateway.terminate()

    said = gateway.log.read_text() + "".join(
        p.read_bytes().decode("latin-1") for p in gateway.state.iterdir()
    )
    assert "s3cret-canary" not in said


async def test_without_a_token_a_name_that_dns_decides_is_refused(tmp_path: Path):
    import urllib.error
    import urllib.request

    gateway = embedded(BROKER, tmp_path)

    def ask() -> int:
        url = f"http://127.0.0.1:{gateway.admin}/api/v1/status"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers={"Host": "evil.example"}), timeout=5
            ) as r:
                return int(r.status)
        except urllib.error.HTTPError as error:
            return error.code

    async with running(gateway):
        assert await asyncio.to_thread(ask) == 403


async def test_every_metric_that_is_documented_is_exported_and_the_other_way_round(tmp_path: Path):
    import re

    async with Subscriber() as s:
        gateway = embedded(BROKER + trigger("t", s.url), tmp_path)
        async with running(gateway):
            await one(gateway)
            await s.received(waiting_for(1))
            _, text = await gateway.get("/metrics")
        gateway.options = ["--workers", "2"]
        async with running(gateway):
            _, of_workers = await gateway.get("/metrics")

    exported = set(re.findall(r"^# TYPE (mesh_gateway_\w+)", text + of_workers, re.MULTILINE))
    page = (Path(__file__).parent.parent.parent / "docs" / "operations" / "metrics.md").read_text()
    documented = set(re.findall(r"`(mesh_gateway_\w+)`", page))
    bare = {name.removesuffix("_total") for name in documented}
    assert {name.removesuffix("_total") for name in exported if not name.endswith("_created")} == bare


async def test_what_runs_beside_the_way_of_events_is_seen_in_the_metrics(tmp_path: Path):
    gateway = embedded(BROKER, tmp_path)
    async with running(gateway):
        _, text = await gateway.get("/metrics")

    assert 'mesh_gateway_part_up{part="reload"} 1.0' in text
    assert 'mesh_gateway_part_up{part="observers"} 1.0' in text


async def test_ready_is_said_within_the_line_that_carries_the_addresses(tmp_path: Path):
    gateway = embedded(BROKER, tmp_path)
    async with running(gateway):
        status = await gateway.status()
        await gateway.terminate()

    ready = next(json.loads(line) for line in gateway.log.read_text().splitlines() if '"ready"' in line)
    assert ready["native"] == status["native"] == native.PARTS.version
    assert ready["ingress"] == gateway.url
    assert ready["transports"] == {"embedded": "up"}


async def test_a_hanging_subscriber_does_not_hold_up_a_stop_longer_than_its_grace(tmp_path: Path):
    documents = (
        "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\n"
        "spec: {drainTimeout: PT0.5S}\n---" + BROKER
    )
    async with Subscriber(lambda request: HANG) as s:
        gateway = embedded(documents + trigger("t", s.url), tmp_path)
        async with running(gateway):
            await one(gateway)
            await s.received(waiting_for(1))
            assert await gateway.terminate() == 0
        s.answer = lambda request: Answer()
        async with running(gateway):
            await s.received(waiting_for(2))

    assert s.ids() == ["1", "1"], "what was cut off comes again"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"ce_id": ""}, 400), ({"ce_specversion": "7"}, 400), ({"content_encoding": "gzip"}, 415),
     ({"content_type": "application/cloudevents+xml"}, 415), ({"ce_knativebrokerttl": "1"}, 400)],
)  # fmt: skip
async def test_a_wrong_event_is_answered_with_the_right_status(tmp_path: Path, headers, status):
    gateway = embedded(BROKER, tmp_path)
    async with running(gateway):
        assert await one(gateway, **headers) == status


async def test_a_producer_keeps_its_connection_over_many_events(mesh: Mesh):
    async with Subscriber() as s:
        gateway = mesh(BROKER + trigger("t", s.url))
        async with running(gateway):
            producer = Producer(gateway.ingress, "/default/b/")
            await producer.send(str(n) for n in range(200))
            await s.received(waiting_for(200))

    assert producer.answers == [202] * 200
