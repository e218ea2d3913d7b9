"""Gateways that relay to each other, as processes of their own: documents, and what came where."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from mesh_gateway.event import Event
from mesh_gateway.federation import via
from mesh_gateway.transport.contract import TransportContext
from mesh_gateway.transport.embedded.options import EmbeddedOptions
from mesh_gateway.transport.embedded.transport import EmbeddedTransport
from tests.harness import PATIENCE, GatewayProcess, Producer, Subscriber

LONG_PATIENCE = 4 * PATIENCE
"""Seconds for what a load has left behind to reach its ends, on a machine that has other work."""

DELIVERY = "backoffDelay: PT0.1S, backoffMax: PT0.5S, timeout: PT5S"

TOKEN = "RELAY_TOKEN"
"""Environment variable with the token of a cluster: `RELAY_TOKEN_EU`."""


def variable(cluster: str) -> str:
    return f"{TOKEN}_{cluster.upper()}"


def secret(cluster: str) -> str:
    return f"the-token-of-{cluster}"


def documents(
    cluster: str,
    peers: Iterable[str],
    to: dict[str, str],
    subscriber: str | None,
    *,
    transport: str = "",
    main: str = "",
) -> str:
    """A gateway `cluster` with one broker, a trigger that gets everything, and a relay to each of `to`."""
    trigger = (
        ""
        if subscriber is None
        else f"""---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: all}}
spec: {{broker: b, subscriber: {{uri: "{subscriber}/{cluster}"}}}}"""
    )
    known = "".join(
        f"\n  - {{cluster: {one}, bearer: {{valueFrom: {{env: {variable(one)}}}}}}}" for one in peers
    )
    relays = "".join(
        f"""
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Relay
metadata: {{name: to-{name}}}
spec:
  from: b
  to: {{uri: "{url}/default/b"}}
  auth: {{bearer: {{valueFrom: {{env: {variable(cluster)}}}}}}}
  start: earliest
  delivery: {{{DELIVERY}}}"""
        for name, url in to.items()
    )
    return f"""
apiVersion: mesh-gateway.dev/v1alpha1
kind: Gateway
metadata: {{name: {cluster}}}
spec:
  cluster: {cluster}
  peers: {known or "[]"}
{transport}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: b}}
spec: {{{main}}}
{trigger}{relays}
"""


def environment(clusters: Iterable[str]) -> dict[str, str]:
    return {variable(one): secret(one) for one in clusters}


class Mesh:
    """Gateways by cluster, on fixed ports, with relays along `links`."""

    def __init__(
        self, links: Iterable[tuple[str, str]], subscriber: Subscriber | None, directory: Path
    ) -> None:
        self.links = list(links)
        self.subscriber = subscriber
        clusters = sorted({name for link in self.links for name in link})
        self.gateways: dict[str, GatewayProcess] = {}
        for cluster in clusters:
            home = directory / cluster
            home.mkdir()
            self.gateways[cluster] = GatewayProcess("", home, environment(clusters))
        self.route(lambda start, to: self.gateways[to].url)

    def route(self, url) -> None:
        """Write the documents, with the URL that each link goes through."""
        for cluster, gateway in self.gateways.items():
            gateway.file.write_text(
                documents(
                    cluster,
                    [start for start, to in self.links if to == cluster],
                    {to: url(start, to) for start, to in self.links if start == cluster},
                    None if self.subscriber is None else self.subscriber.url,
                )
            )

    async def start(self) -> None:
        for gateway in self.gateways.values():  # one after the other: each has the whole of the patience
            await gateway.start()

    @property
    def running(self) -> dict[str, GatewayProcess]:
        return {cluster: gateway for cluster, gateway in self.gateways.items() if gateway.runs}

    async def kill(self) -> None:
        for gateway in self.running.values():
            await gateway.kill()

    async def met(self) -> None:
        """Once every relay has an answer of its target."""
        async with asyncio.timeout(PATIENCE):
            for gateway in self.gateways.values():
                while not all(_ready(one) for one in (await gateway.status())["relays"]):
                    await asyncio.sleep(0.05)

    def producer(self, cluster: str) -> Producer:
        return Producer(self.gateways[cluster].ingress, "/default/b")

    def counts(self, cluster: str) -> Counter[str]:
        """How often the cluster's trigger got each event."""
        assert self.subscriber is not None
        return Counter(self.subscriber.ids(f"/{cluster}"))

    async def accepted(self) -> int:
        """Events that the running gateways have taken in by relays, since each of them started."""
        found = [await verdicts(gateway) for gateway in self.running.values()]
        return sum(one["accepted"] for one in found)

    async def crossings(self) -> Counter[str]:
        """What the running gateways have said of events that have crossed a link, since each of them started."""
        said: Counter[str] = Counter()
        for gateway in self.running.values():
            said += await verdicts(gateway)
        del said["unwanted"]  # offered, and not sent
        return said

    async def crossed(self, count: int = 20) -> None:
        """Returns once so many more events have crossed a link. No gateway may be down."""
        before = await self.accepted()
        async with asyncio.timeout(LONG_PATIENCE):
            while await self.accepted() < before + count:
                await asyncio.sleep(0.02)

    async def quiet(self) -> None:
        """As `quiet`, of all gateways that run."""
        await quiet(self.running.values())


async def quiet(gateways: Collection[GatewayProcess]) -> None:
    """Returns once nothing waits in any of them, nor is on its way between two.

    Two rounds of questions in which everybody says so, and between which nobody has stored anything: what one sends
    after it was asked would show at the other in the second.
    """
    before: list[float] = []
    async with asyncio.timeout(LONG_PATIENCE):
        while True:
            found = [await _stored_and_waiting(gateway) for gateway in gateways]
            stored = [one.stored for one in found]
            if stored == before and not any(one.waiting for one in found):
                return
            before = stored
            await asyncio.sleep(0.1)


class _Round(NamedTuple):
    stored: float
    waiting: float


async def _stored_and_waiting(gateway: GatewayProcess) -> _Round:
    found = await samples(gateway)
    stored = sum(found["mesh_gateway_events_accepted_total"].values())
    waiting = found.get("mesh_gateway_backlog_events", {})
    return _Round(
        stored, sum(count for labels, count in waiting.items() if ("channel", "dead-letters") not in labels)
    )


Labels = frozenset[tuple[str, str]]


async def samples(gateway: GatewayProcess) -> dict[str, dict[Labels, float]]:
    """What `/metrics` says, by name and labels."""
    _, text = await gateway.get("/metrics")
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


async def verdicts(gateway: GatewayProcess) -> Counter[str]:
    """What the gateway has said of events that came by relays, since it started."""
    said: Counter[str] = Counter()
    for labels, count in (await samples(gateway)).get("mesh_gateway_relayed_events_total", {}).items():
        said[dict(labels)["verdict"]] += int(count)
    return said


async def relay(gateway: GatewayProcess, name: str) -> dict[str, Any]:
    """The status of one relay."""
    found: dict[str, Any] = next(
        one for one in (await gateway.status())["relays"] if one["name"] == f"default/{name}"
    )
    return found


async def log_of(gateway: GatewayProcess, broker: str = "default/b") -> list[Event]:
    """What lies in the broker of a gateway that does not run, each event as often as it was stored.

    Nothing is missing: what is settled is kept for ten minutes, and no test takes as long.
    """
    assert not gateway.runs
    transport = EmbeddedTransport(EmbeddedOptions(), TransportContext("embedded", gateway.state))
    await transport.open()
    try:
        found: list[Event] = []
        after = None
        while page := await transport.browse(broker, after=after, limit=1_000):
            found += [stored.event for stored in page]
            after = page[-1].position
        return found
    finally:
        await transport.close()


async def stored_once(gateways: Mapping[str, GatewayProcess], ids: Collection[str]) -> int:
    """Asserts that each of `ids` lies in each broker's log, and nothing twice; how many different events there are.

    The gateways must have stopped. A log may hold more than `ids`: an event that was stored by a gateway that
    was killed before it could say so. It has to be in all of them as well.
    """
    logs = {cluster: await log_of(gateway) for cluster, gateway in gateways.items()}
    everything = {(event.source, event.id) for log in logs.values() for event in log}
    unheard = set(ids) - {id for _, id in everything}
    assert not unheard, f"{len(unheard)} acknowledged events are in no log"
    for cluster, log in logs.items():
        copies = Counter((event.source, event.id) for event in log)
        missing = everything - copies.keys()
        assert not missing, f"{len(missing)} of {len(everything)} events are not in the log of {cluster}"
        twice = [one for one, count in copies.items() if count > 1]
        assert not twice, f"{len(twice)} of {len(everything)} events are in the log of {cluster} twice"
        farthest = max(via.hops(event) for event in log)
        assert farthest < len(gateways), f"an event came to {cluster} over {farthest} links"
    return len(everything)


def _ready(relay) -> bool:
    return bool(relay["conditions"][0]["status"] == "True")
