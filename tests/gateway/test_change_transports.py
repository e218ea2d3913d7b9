"""A change of documents on each transport: nobody who is not concerned begins anew, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.broker.reader import Reader
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Source, load
from mesh_gateway.topology.spec import GatewaySpec
from mesh_gateway.transport.plugins import load_plugins
from tests.gateway.reloading import Rig, running
from tests.harness import Answer, Request, Subscriber
from tests.transports import BACKINGS, ON_MAIN, Backing

BROKER = f"""
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b, namespace: ns}}
spec: {{{ON_MAIN}}}
"""


def trigger(name: str, url: str, more: str = "") -> str:
    return f"""
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: {name}, namespace: ns}}
spec: {{broker: b, subscriber: {{uri: "{url}/{name}"}}, delivery: {{retry: 9, backoffDelay: PT0.05S}}{more}}}
"""


@pytest.fixture(params=BACKINGS, ids=lambda backing: backing.kind)
def backing(request: pytest.FixtureRequest) -> Backing:
    backing: Backing = request.param
    backing.skip_if_absent()
    return backing


class Served:
    """Documents of one test on one transport."""

    def __init__(self, backing: Backing, directory: Path) -> None:
        self._transport = backing.document(f"t{uuid.uuid4().hex[:10]}")
        self._file = directory / "mesh.yaml"
        self._state = directory / "state"

    def spec(self, *triggers: str) -> GatewaySpec:
        gateway = (
            "\napiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\n"
            f"spec: {{drainTimeout: PT5S, state: {{directory: {self._state}}}}}\n"
        )
        self._file.write_text("---".join([gateway, self._transport.removeprefix("\n---"), BROKER, *triggers]))
        kinds = Kinds.of(load_plugins())
        loaded = load(Source.from_paths([str(self._file)]), environment=dict(os.environ), kinds=kinds)
        assert loaded.spec is not None, loaded.faults
        return loaded.spec


def consumer(reader: Reader) -> tuple[Any, ...]:
    """What would be another if the reader had subscribed again; on Kafka also the group's generation, which every
    member that joins or leaves raises.
    """
    assert reader._ledger is not None
    subscription = reader._ledger._subscription
    kafka = getattr(subscription, "_consumer", None)
    generation = getattr(getattr(kafka, "_coordinator", None), "generation", None)
    return reader, subscription, generation


async def test_triggers_come_change_and_go_and_the_consumer_of_the_others_never_rejoins(
    backing: Backing, tmp_path: Path
):
    def answer(request: Request) -> Answer:
        return Answer(503 if request.path == "/going" else 202)

    async with Subscriber(answer) as subscriber:
        served, url = Served(backing, tmp_path), subscriber.url
        kept = trigger("kept", url)
        async with running(served.spec(kept, trigger("going", url)), load_plugins()) as rig:
            reader = rig.mesh.parts.brokers["ns/b"].readers[0]
            same = rig.mesh.parts.triggers["ns/kept"]
            sent = await send(rig, "first", 20)
            await rig.until(lambda: set(subscriber.ids("/going")) == set(sent))
            before = consumer(reader)

            await rig.change(served.spec(kept, trigger("coming", url)))
            sent += await send(rig, "second", 20)
            await rig.change(served.spec(kept, trigger("coming", url + "/other")))
            sent += await send(rig, "third", 20)
            await subscriber.received(lambda got: {r.id for r in got if r.path == "/kept"} >= set(sent))
            await subscriber.received(
                lambda got: {r.id for r in got if r.path.endswith("/coming")} >= set(sent[20:])
            )
            await rig.gone()

            assert consumer(rig.mesh.parts.brokers["ns/b"].readers[0]) == before
            assert rig.mesh.parts.triggers["ns/kept"] is same
            assert len(subscriber.ids("/kept")) == 60, "and nobody got anything twice"

            subscriber.answer = lambda request: Answer()
            await rig.change(served.spec(kept, trigger("going", url)))
            await subscriber.received(lambda got: {r.id for r in got if r.path == "/going"} >= set(sent[:20]))


async def send(rig: Rig, name: str, count: int) -> list[str]:
    """Events that are durable."""
    ids = [f"{name}-{n}" for n in range(count)]
    async with asyncio.timeout(60):
        await rig.send(*ids)
    return ids
