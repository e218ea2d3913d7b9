"""Bad input at the start, and stopping in order: clear words, the right exit code, nothing lost."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.harness import Answer, GatewayProcess, Producer, Request, Subscriber, running

DOCUMENTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: t}}
spec: {{broker: b, subscriber: {{uri: "{url}/"}}}}
"""


def more_than(count: int, requests: list[Request]) -> bool:
    return len(requests) > count


async def test_wrong_documents_end_with_78_and_no_traceback(tmp_path: Path):
    gateway = GatewayProcess(
        "kind: Broker\napiVersion: eventing.knative.dev/v1\nmetadata: {name: B!}\n", tmp_path
    )
    with pytest.raises(AssertionError, match="the gateway ended"):
        await gateway.start()

    assert await gateway.wait() == 78
    said = gateway.log.read_text()
    assert "MG013" in said
    assert "Traceback" not in said


async def test_a_damaged_store_is_refused_with_what_to_do(tmp_path: Path):
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        async with running(gateway):
            await Producer(gateway.ingress, "/default/b").send(str(n) for n in range(50))
            assert await gateway.terminate() == 0
        store = gateway.state / "mesh.db"
        content = bytearray(store.read_bytes())
        content[:64] = b"\xff" * 64
        store.write_bytes(content)
        gateway.log.write_text("")
        with pytest.raises(AssertionError, match="the gateway ended"):
            await gateway.start()

    assert await gateway.wait() == 74
    said = gateway.log.read_text()
    assert "keep a copy" in said
    assert "Traceback" not in said
    assert store.read_bytes() == bytes(content), "a damaged file is left as it is"


async def test_a_second_gateway_on_the_same_state_is_refused(tmp_path: Path):
    async with Subscriber() as subscriber:
        first = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        async with running(first):
            second = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
            second.log = tmp_path / "second.log"
            with pytest.raises(AssertionError, match="the gateway ended"):
                await second.start()

            assert await second.wait() == 74
            assert f"process {first.pid}" in second.log.read_text()


async def test_a_taken_port_is_named_with_the_way_out(tmp_path: Path):
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        gateway.ingress = subscriber.port
        with pytest.raises(AssertionError, match="the gateway ended"):
            await gateway.start()

        assert await gateway.wait() == 78
        assert "choose another address with --ingress" in gateway.log.read_text()


async def test_sigterm_loses_nothing_and_restarts_deliver_nothing_twice_that_was_done(tmp_path: Path):
    async with Subscriber() as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        producer = Producer(gateway.ingress, "/default/b")
        for round_number in range(3):
            async with running(gateway):
                sending = asyncio.ensure_future(producer.send(f"{round_number}-{n}" for n in range(100_000)))
                await subscriber.received(partial(more_than, 100 * (round_number + 1)))
                assert await gateway.terminate() == 0
                await sending
        async with running(gateway):
            await gateway.settled()

        arrived = subscriber.ids()
        assert set(producer.acknowledged) <= set(arrived)
        assert len(arrived) == len(set(arrived))


async def test_a_second_sigterm_ends_at_once(tmp_path: Path):
    from tests.harness import HANG

    async with Subscriber(lambda request: HANG) as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        async with running(gateway):
            await Producer(gateway.ingress, "/default/b").send(["1"])
            await subscriber.received(lambda requests: len(requests) == 1)
            assert gateway._process is not None
            gateway._process.terminate()
            while (await gateway.get("/readyz"))[0] == 200:
                await asyncio.sleep(0.01)
            gateway._process.terminate()

            assert await gateway.wait() == 143


async def test_a_refused_event_costs_the_producer_a_4xx_and_stores_nothing(tmp_path: Path):
    async with Subscriber(lambda request: Answer()) as subscriber:
        gateway = GatewayProcess(DOCUMENTS.format(url=subscriber.url), tmp_path)
        async with running(gateway):
            producer = Producer(gateway.ingress, "/default/b")
            await producer.send(["1"], source="a b")
            status = await gateway.status()

        assert producer.answers == [400]
        assert status["brokers"][0]["accepted"] == 0


async def test_a_certificate_that_is_none_is_named_and_nothing_is_started(tmp_path: Path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("not a certificate")
    listener = (
        "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\n"
        "spec: {ingress: {tls: {certificate: cert.pem, key: key.pem}}}\n"
    )
    endpoint = (
        "apiVersion: mesh-gateway.dev/v1alpha1\nkind: Endpoint\nmetadata: {name: e}\n"
        "spec: {url: https://x/, caCerts: {file: cert.pem}}\n---"
        + DOCUMENTS.replace('{{uri: "{url}/"}}', "{{ref: {{kind: Endpoint, name: e}}}}").format()
    )
    for documents, named in ((listener, "ingress.tls"), (endpoint, "MG026")):
        gateway = GatewayProcess(documents, tmp_path)
        gateway.log.unlink(missing_ok=True)
        with pytest.raises(AssertionError, match="the gateway ended"):
            await gateway.start()

        assert await gateway.wait() == 78
        said = gateway.log.read_text()
        assert named in said
        assert "Traceback" not in said
