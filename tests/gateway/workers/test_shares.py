"""What one of several workers serves, and what several cannot serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh_gateway.errors import TopologyError
from mesh_gateway.gateway.workers import shares
from mesh_gateway.topology.spec import (
    BrokerDestination,
    BrokerSpec,
    GatewaySpec,
    HttpDestination,
    PeerSpec,
    RelaySpec,
    StartSpec,
    TransportSpec,
    TriggerSpec,
)
from mesh_gateway.transport.contract import Capabilities

TRIGGER = TriggerSpec("ns", "t", "ns/b", HttpDestination("http://s/"))
RELAY = RelaySpec("ns", "r", "ns/b", HttpDestination("http://s/"))
KEY = Capabilities(ordering="key")
CHANNEL = Capabilities(ordering="channel")


def mesh(kind: str = "embedded", **more: Any) -> GatewaySpec:
    given: Mapping[str, Any] = {"triggers": {}, **more}
    return GatewaySpec(
        state_directory=Path("state"),
        transports={"main": TransportSpec("main", kind)},
        brokers={"ns/b": BrokerSpec("ns", "b", "main")},
        **given,
    )


def refused(spec: GatewaySpec, can: Capabilities | None = CHANNEL, workers: int = 2) -> str:
    with pytest.raises(TopologyError) as error:
        shares.refuse(spec, workers, lambda transport: can)
    return str(error.value)


def test_deliveries_at_a_time_are_divided_so_that_together_they_are_what_was_asked_for():
    spec = mesh(triggers={"ns/t": replace(TRIGGER, parallelism=64)})

    parts = [shares.share(spec, number, 3).triggers["ns/t"].parallelism for number in range(3)]

    assert parts == [22, 21, 21]


def test_a_worker_that_is_no_more_delivers_at_least_one_at_a_time():
    spec = mesh(triggers={"ns/t": replace(TRIGGER, parallelism=1)})

    assert shares.share(spec, 3, 1).triggers["ns/t"].parallelism == 1


def test_what_cannot_be_divided_is_refused():
    spec = mesh(triggers={"ns/t": replace(TRIGGER, parallelism=1)})

    assert refused(spec).startswith("MG057 Trigger ns/t delivers 1 at a time")
    shares.refuse(
        replace(spec, triggers={"ns/t": replace(TRIGGER, parallelism=2)}), 2, lambda transport: CHANNEL
    )


def test_the_rate_of_a_relay_is_divided():
    spec = mesh(relays={"ns/r": replace(RELAY, rate=100.0), "ns/free": replace(RELAY, name="free")})

    share = shares.share(spec, 1, 4)

    assert (share.relays["ns/r"].rate, share.relays["ns/free"].rate) == (25.0, None)


def test_the_first_worker_has_the_state_of_a_gateway_without_workers():
    spec = mesh()

    assert shares.share(spec, 0, 2).state_directory == Path("state")
    assert shares.share(spec, 1, 2).state_directory not in (
        Path("state"),
        shares.share(spec, 2, 3).state_directory,
    )


def test_what_is_given_to_one_worker_is_all_there_is():
    spec = mesh(triggers={"ns/t": replace(TRIGGER, order="ordered")}, peers=(PeerSpec("us"),))

    shares.refuse(spec, 1, lambda transport: CHANNEL)


def test_an_ordered_trigger_needs_a_transport_that_orders_by_key():
    spec = mesh("rabbitmq", triggers={"ns/t": replace(TRIGGER, order="ordered", overflow="block")})

    assert refused(spec).startswith("MG054 Trigger ns/t is ordered")
    assert "Kafka" in refused(spec, None)
    shares.refuse(spec, 2, lambda transport: KEY)


def test_on_the_embedded_transport_an_ordered_trigger_needs_nothing():
    shares.refuse(mesh(triggers={"ns/t": replace(TRIGGER, order="ordered")}), 2, lambda transport: CHANNEL)


def test_an_ordered_trigger_must_not_park():
    spec = mesh("kafka", triggers={"ns/t": replace(TRIGGER, order="ordered")})

    assert "overflow: block" in refused(spec, KEY)


def test_nobody_may_relay_into_several_workers():
    assert "MG055 peers" in refused(mesh("kafka", peers=(PeerSpec("us"),)), KEY)
    inside = mesh("kafka", relays={"ns/r": replace(RELAY, destination=BrokerDestination("ns/b"))})
    assert "MG055 Relay ns/r" in refused(inside, KEY)


def test_a_relay_to_elsewhere_is_served():
    shares.refuse(mesh(relays={"ns/r": RELAY}), 2, lambda transport: CHANNEL)


def test_a_position_is_known_to_one_store_only():
    start = StartSpec("position", position="7")
    spec = mesh(triggers={"ns/t": replace(TRIGGER, read="dedicated", start=start)})

    assert "MG056 ns/t" in refused(spec)
    shares.refuse(
        replace(spec, transports={"main": TransportSpec("main", "kafka")}), 2, lambda transport: KEY
    )


ORDERED = replace(TRIGGER, order="ordered")
FROM_SEVEN = replace(TRIGGER, read="dedicated", start=StartSpec("position", position="7"))
INSIDE = replace(RELAY, destination=BrokerDestination("ns/b"))


@pytest.mark.parametrize(
    ("spec", "ways"),
    [
        (
            mesh("rabbitmq", triggers={"ns/t": ORDERED}),
            ["MG054", "on the embedded transport, or on Kafka", "or run one worker"],
        ),
        (mesh("kafka", triggers={"ns/t": ORDERED}), ["MG054", "overflow: block", "or run one worker"]),
        (mesh(peers=(PeerSpec("us"),)), ["MG055", "Run one worker here", "a gateway of its own"]),
        (mesh(relays={"ns/r": INSIDE}), ["MG055", "Run one worker here", "a gateway of its own"]),
        (mesh(triggers={"ns/t": FROM_SEVEN}), ["MG056", "Start at a timestamp", "or run one worker"]),
        (mesh(triggers={"ns/t": replace(TRIGGER, parallelism=2)}), ["MG057", "raise it", "or run 2"]),
    ],
)
def test_whoever_is_refused_is_told_the_ways_out(spec: GatewaySpec, ways: list[str]):
    can = KEY if spec.transports["main"].kind == "kafka" else CHANNEL

    said = refused(spec, can, workers=3)

    assert all(way in said for way in ways)
    assert f"(mgw help {ways[0]})" in said


def test_all_that_is_refused_is_said_at_once():
    spec = mesh("rabbitmq", triggers={"ns/t": replace(TRIGGER, order="ordered")}, peers=(PeerSpec("us"),))

    assert [line.split()[0] for line in refused(spec).splitlines()] == ["MG054", "MG055"]
