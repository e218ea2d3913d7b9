"""What a change would do: each edit and its effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh_gateway.topology.diff import Change, apply, diff
from mesh_gateway.topology.spec import GatewaySpec
from tests.topology.harness import BROKER, gateway, relay, spec_of, to_billing, transport, trigger

ON_MAIN = "spec: {config: {apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: main}}"

PEERS = "cluster: eu, peers: [{cluster: us, bearer: {valueFrom: {env: T}}}]"

BASE = (
    gateway("cluster: eu"),
    BROKER,
    BROKER.replace("orders", "audit") + ON_MAIN,
    transport("kind: configured"),
    trigger(to_billing()),
    relay("to: {uri: 'https://us.example/'}"),
)


def edited(old: str, new: str) -> tuple[GatewaySpec, GatewaySpec]:
    text = "\n---\n".join(BASE)
    assert old in text
    return spec_of(*BASE), spec_of(text.replace(old, new), environment={"T": "x"})


@pytest.mark.parametrize(
    ("old", "new", "noun", "what", "effect"),
    [
        ("{name: edge}", "{name: border}", "gateway", "name", "none"),
        ("cluster: eu", "cluster: us", "gateway", "cluster", "restart"),
        ("cluster: eu", "cluster: eu, drainTimeout: PT5S", "gateway", "drain_timeout", "hot"),
        ("cluster: eu", "cluster: eu, ingress: {listen: '0.0.0.0:1'}", "gateway", "ingress", "reset"),
        ("cluster: eu", "cluster: eu, admin: {listen: '127.0.0.1:1'}", "gateway", "admin", "reset"),
        ("cluster: eu", "cluster: eu, state: {directory: s}", "gateway", "state_directory", "restart"),
        ("kind: configured", "kind: configured, ensure: verify", "transports", "ensure", "hot"),
        ("kind: configured", "kind: configured, options: {partitions: 3}", "transports", "options", "reset"),
        ("http://billing/", "http://billing/v2", "triggers", "destination", "drain"),
        (to_billing(), to_billing("filters: [{exact: {type: a}}]"), "triggers", "filters", "hot"),
        (to_billing(), to_billing("filter: {attributes: {type: a}}"), "triggers", "filter_attributes", "hot"),
        (to_billing(), to_billing("delivery: {}"), "triggers", "delivery", "hot"),
        ("annotations: {}", "annotations: {mesh-gateway.dev/order: ordered}", "triggers", "order", "drain"),
        (
            "annotations: {}",
            "annotations: {mesh-gateway.dev/read: dedicated}",
            "triggers",
            "read",
            "rejoin group",
        ),
        ("annotations: {}", "annotations: {mesh-gateway.dev/replies: 'off'}", "triggers", "replies", "hot"),
        (
            "annotations: {}",
            "annotations: {mesh-gateway.dev/window: '5'}",
            "triggers",
            "window_events",
            "hot",
        ),
        ("broker: orders", "broker: audit", "triggers", "broker", "rejoin group"),
        ("cluster: eu", "cluster: eu, maxHops: 3", "gateway", "max_hops", "restart"),
        ("cluster: eu", "cluster: eu, ingress: {maxEventBytes: 70000}", "gateway", "ingress", "hot"),
        ("cluster: eu", "cluster: eu, admin: {token: {valueFrom: {env: T}}}", "gateway", "admin", "hot"),
        ("https://us.example/", "https://us.example/v2", "relays", "destination", "rejoin group"),
        ("from: orders", "filters: [{exact: {type: a}}], from: orders", "relays", "filters", "rejoin group"),
        ("from: orders", "delivery: {retry: 1}, from: orders", "relays", "delivery", "rejoin group"),
        ("from: orders", "rateLimit: {eventsPerSecond: 5}, from: orders", "relays", "rate", "rejoin group"),
        ("from: orders", "compression: gzip, from: orders", "relays", "compression", "rejoin group"),
        ("from: orders", "start: earliest, from: orders", "relays", "start", "none"),
        ("from: orders", "from: audit", "relays", "broker", "rejoin group"),
    ],
)
def test_an_edit_is_one_change_with_its_effect(old: str, new: str, noun: str, what: str, effect: str):
    before, after = edited(old, new)

    (change,) = diff(before, after).changes

    assert (change.noun, change.how, change.what, change.effect) == (noun, "changed", (what,), effect)
    assert apply(before, diff(before, after)) == after


@pytest.mark.parametrize(
    ("old", "new", "spelt", "restarting"),
    [
        ("cluster: eu", "cluster: eu, drainTimeout: PT5S", ("drainTimeout",), ()),
        ("cluster: eu", "cluster: us, drainTimeout: PT5S", ("cluster", "drainTimeout"), ("cluster",)),
        ("cluster: eu", "cluster: eu, state: {directory: s}", ("state.directory",), ("state.directory",)),
        ("http://billing/", "http://billing/v2", ("subscriber",), ()),
        (to_billing(), to_billing("filter: {attributes: {type: a}}"), ("filter",), ()),
        ("annotations: {}", "annotations: {mesh-gateway.dev/window: '5, 1MiB'}", ("window",), ()),
        ("from: orders", "rateLimit: {eventsPerSecond: 5}, from: audit", ("from", "rateLimit"), ()),
    ],
)
def test_a_change_names_its_fields_as_documents_spell_them(
    old: str, new: str, spelt: tuple[str, ...], restarting: tuple[str, ...]
):
    (change,) = diff(*edited(old, new)).changes

    assert (change.spelt, change.restarting) == (spelt, restarting)
    assert change.document()["what"] == list(spelt)


def test_a_start_counts_only_for_a_subscription_that_does_not_exist_yet():
    dedicated = "annotations: {mesh-gateway.dev/read: dedicated}"
    early = "annotations: {mesh-gateway.dev/read: dedicated, mesh-gateway.dev/start: earliest}"

    (change,) = diff(edited("annotations: {}", dedicated)[1], edited("annotations: {}", early)[1]).changes

    assert (change.what, change.effect) == (("start",), "none")


def test_a_broker_that_moves_to_another_transport_leaves_its_channel_behind():
    moved = BROKER + ON_MAIN

    (change,) = diff(spec_of(*BASE), spec_of(BASE[0], moved, *BASE[2:])).changes

    assert (change.noun, change.name, change.effect) == ("brokers", "default/orders", "reset")


def test_peers_are_hot_and_where_the_transport_cannot_remember_what_they_send_readers_begin_anew():
    before, after = edited(
        "cluster: eu", "cluster: eu, peers: [{cluster: us, bearer: {valueFrom: {env: T}}}]"
    )

    (change,) = diff(before, after).changes
    (embedded,) = diff(
        spec_of(*BASE[:2], *BASE[4:]), spec_of(gateway(PEERS), *BASE[1:2], *BASE[4:], environment={"T": "x"})
    ).changes

    assert (change.what, change.effect) == (("peers",), "rejoin group")
    assert (embedded.what, embedded.effect) == (("peers",), "hot")
    assert apply(before, diff(before, after)) == after


def test_a_certificate_that_was_renewed_under_the_same_name_is_a_change(tmp_path: Path):
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("old")
    tls = gateway("ingress: {tls: {certificate: c.pem, key: k.pem}}")
    before = spec_of(tls, BROKER, directory=tmp_path)
    (tmp_path / "c.pem").write_text("new")

    (change,) = diff(before, spec_of(tls, BROKER, directory=tmp_path)).changes

    assert (change.what, change.effect) == (("ingress",), "reset")


def test_a_transport_that_no_broker_lies_on_can_change_without_any_effect():
    idle = (*BASE[:2], BROKER.replace("orders", "audit"), *BASE[3:])
    changed = [text.replace("kind: configured", "kind: configured, ensure: verify") for text in idle]

    assert [change.effect for change in diff(spec_of(*idle), spec_of(*changed)).changes] == ["none"]


def test_what_is_new_is_hot_and_what_goes_drains():
    before, after = spec_of(*BASE), spec_of(*BASE[:-2], trigger(to_billing(), "other"))

    assert [(c.name, c.how, c.effect) for c in diff(before, after).changes] == [
        ("default/billing", "removed", "drain"),
        ("default/other", "added", "hot"),
        ("default/to-us", "removed", "drain"),
    ]


def test_the_worst_effect_is_that_of_the_plan():
    before, after = edited(
        "annotations: {}", "annotations: {mesh-gateway.dev/read: dedicated, mesh-gateway.dev/replies: 'off'}"
    )

    plan = diff(before, after)

    assert plan.effect == "rejoin group"
    assert plan.changes[0].what == ("read", "replies")
    assert diff(before, before).effect == "none"


def test_a_comment_is_no_change():
    plan = diff(spec_of(*BASE), spec_of("# hello\n" + BASE[0], *BASE[1:]))

    assert not plan


def test_from_nothing_everything_is_added():
    spec = spec_of(*BASE)

    plan = diff(None, spec)

    assert {change.how for change in plan.changes} == {"added"}
    assert apply(None, plan) == spec


def test_a_plan_shows_no_values():
    secret = gateway("cluster: eu, admin: {token: {valueFrom: {env: T}}}")

    plan = diff(spec_of(*BASE), spec_of(secret, *BASE[1:], environment={"T": "c4nary"}))

    assert "c4nary" not in repr(plan)
    assert isinstance(plan.changes[0], Change)
