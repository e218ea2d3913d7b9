"""A spec that is shown to somebody who has files to compare it with tells no secret, and still tells what differs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from mesh_gateway.topology.diff import diff
from mesh_gateway.topology.shown import marks, read, shown
from mesh_gateway.topology.spec import (
    AdminSpec,
    BrokerDestination,
    BrokerSpec,
    GatewaySpec,
    HttpDestination,
    PeerSpec,
    PluginDestination,
    RelaySpec,
    Secret,
    TransportSpec,
    TriggerSpec,
)

CANARY = "c4nary"

SPEC = GatewaySpec(
    admin=AdminSpec(token=Secret(CANARY)),
    peers=(PeerSpec("us", bearer=Secret(CANARY)),),
    transports={"k": TransportSpec("k", "kafka", options={"sasl": {"password": CANARY}, "partitions": 3})},
    brokers={"ns/b": BrokerSpec("ns", "b", "k", (("secret.x", CANARY),), (("y", Secret(CANARY)),))},
    triggers={
        "ns/http": TriggerSpec(
            "ns", "http", "ns/b", HttpDestination("http://x/", bearer=Secret(CANARY), headers=(("k", CANARY),)),
            filters=({"all": ({"exact": {"type": "t"}},)},),
        ),
        "ns/display": TriggerSpec("ns", "display", "ns/b", PluginDestination("display:")),
    },
    relays={"ns/r": RelaySpec("ns", "r", "ns/b", BrokerDestination("ns/b"))},
)  # fmt: skip

SALT = "0123456789abcdef"


def seen_from(files: GatewaySpec, running: GatewaySpec) -> tuple[GatewaySpec, GatewaySpec]:
    """Both as the asker sees them."""
    known = marks(files, SALT)
    return read(json.loads(json.dumps(shown(running, SALT, known)))), read(shown(files, SALT, known))


def test_nothing_that_may_be_secret_is_shown_not_even_to_who_knows_it():
    for known in (set[str](), marks(SPEC, SALT)):
        assert CANARY not in json.dumps(shown(SPEC, SALT, known))


def test_who_does_not_know_a_secret_gets_no_hash_of_it_to_try_words_on():
    text = json.dumps(shown(SPEC, SALT, marks(GatewaySpec(), SALT)))

    assert not marks(SPEC, SALT) & set(text.split('"'))


def test_the_same_documents_are_the_same():
    running, files = seen_from(SPEC, SPEC)

    assert running == files
    assert not diff(running, files)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"admin": AdminSpec(token=Secret("other"))}, ("admin",)),
        ({"peers": (PeerSpec("us", bearer=Secret("other")),)}, ("peers",)),
        ({"drain_timeout": 3.0}, ("drain_timeout",)),
        ({"transports": {"k": TransportSpec("k", "kafka", options={"sasl": {"password": "other"}, "partitions": 3})}},
         ("options",)),
        ({"transports": {"k": TransportSpec("k", "kafka", options={"sasl": {"password": CANARY}, "partitions": 4})}},
         ("options",)),
        ({"relays": {"ns/r": RelaySpec("ns", "r", "ns/b", BrokerDestination("ns/c"))}}, ("destination",)),
    ],
)  # fmt: skip
def test_what_differs_is_told_apart_also_where_it_is_secret(changes: dict[str, Any], what: tuple[str, ...]):
    (change,) = diff(*seen_from(replace(SPEC, **changes), SPEC)).changes

    assert change.what == what
