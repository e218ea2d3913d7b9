"""Gateways that relay to each other, as processes of their own: documents, and what came where."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from tests.harness import PATIENCE, GatewayProcess, Producer, Subscriber

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
    subscriber: str,
    *,
    transport: str = "",
    main: str = "",
) -> str:
    """A gateway `cluster` with one broker, a trigger that gets everything, and a relay to each of `to`."""
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
  delivery: {{backoffDelay: PT0.1S, backoffMax: PT1S, timeout: PT5S}}"""
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
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: all}}
spec: {{broker: b, subscriber: {{uri: "{subscriber}/{cluster}"}}}}{relays}
"""


def environment(clusters: Iterable[str]) -> dict[str, str]:
    return {variable(one): secret(one) for one in clusters}


class Mesh:
    """Gateways by cluster, on fixed ports, with relays along `links`."""

    def __init__(self, links: Iterable[tuple[str, str]], subscriber: Subscriber, directory: Path) -> None:
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
                    self.subscriber.url,
                )
            )

    async def start(self) -> None:
        await asyncio.gather(*(gateway.start() for gateway in self.gateways.values()))

    async def kill(self) -> None:
        for gateway in self.gateways.values():
            if gateway.runs:
                await gateway.kill()

    async def met(self) -> None:
        """Once every relay has an answer of its target."""
        async with asyncio.timeout(PATIENCE):
            for gateway in self.gateways.values():
                while not all(_ready(one) for one in (await gateway.status())["relays"]):
                    await asyncio.sleep(0.05)

    def producer(self, cluster: str) -> Producer:
        return Producer(self.gateways[cluster].ingress, "/default/b")

    def counts(self, cluster: str) -> dict[str, int]:
        """How often the cluster's trigger got each event."""
        counts: dict[str, int] = {}
        for id in self.subscriber.ids(f"/{cluster}"):
            counts[id] = counts.get(id, 0) + 1
        return counts


def _ready(relay) -> bool:
    return bool(relay["conditions"][0]["status"] == "True")
