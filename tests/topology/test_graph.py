"""The mesh as a picture."""

from __future__ import annotations

import json
from dataclasses import replace

from mesh_gateway.topology.graph import render
from tests.topology.harness import BROKER, relay, spec_of, trigger

SPEC = spec_of(
    BROKER,
    BROKER.replace("orders", "audit"),
    trigger("subscriber: {ref: {kind: Broker, name: audit}}, filters: [{prefix: {type: 'a\"<b'}}]", "copy"),
    trigger("subscriber: {uri: 'http://billing/'}, delivery: {deadLetterSink: {uri: 'http://dls/'}}"),
)


def test_as_json_it_has_every_node_once_and_an_edge_for_each_way():
    graph = json.loads(render(SPEC, "json"))

    assert [(node["label"], node["kind"]) for node in graph["nodes"]] == [
        ("default/orders", "broker"),
        ("default/audit", "broker"),
        ("http://billing/", "destination"),
        ("http://dls/", "destination"),
    ]
    assert [(edge["trigger"], edge["target"], edge["kind"]) for edge in graph["edges"]] == [
        ("default/copy", "broker default/audit", "delivery"),
        ("default/billing", "http://billing/", "delivery"),
        ("default/billing", "http://dls/", "dead letter"),
    ]


def test_as_mermaid_nothing_in_a_label_breaks_the_line():
    assert render(SPEC, "mermaid").splitlines() == [
        "flowchart LR",
        '  n0(["default/orders"])',
        '  n1(["default/audit"])',
        '  n2["http://billing/"]',
        '  n3["http://dls/"]',
        '  n0 -->|"copy: type^=a#quot;#lt;b"| n1',
        '  n0 -->|"billing: everything"| n2',
        '  n0 -.->|"billing: dead letters"| n3',
    ]


def test_as_dot_quotes_are_escaped_and_dead_letters_dashed():
    lines = render(SPEC, "dot").splitlines()

    assert lines[0] == "digraph mesh {"
    assert '  "broker default/orders" -> "broker default/audit" [label="copy: type^=a\\"<b"];' in lines
    assert (
        '  "broker default/orders" -> "http://dls/" [label="billing: dead letters", style=dashed];' in lines
    )
    assert lines[-1] == "}"


def test_a_long_filter_is_cut():
    spec = spec_of(
        BROKER, trigger(f"subscriber: {{uri: 'http://b/'}}, filters: [{{exact: {{type: {'x' * 200}}}}}]")
    )

    label = json.loads(render(spec, "json"))["edges"][0]["label"]

    assert len(label) == 60
    assert label.endswith("…")


def test_a_dialect_of_a_plugin_is_drawn_by_its_name():
    spec = spec_of(BROKER, trigger("subscriber: {uri: 'http://b/'}"))
    custom = replace(spec.triggers["default/billing"], filters=({"regex": "a.*"},))

    drawn = render(replace(spec, triggers={custom.key: custom}), "json")

    assert "regex" in json.loads(drawn)["edges"][0]["label"]


def test_relays_have_arrows_of_their_own_and_lead_to_brokers_where_they_are_known():
    spec = spec_of(
        BROKER,
        BROKER.replace("orders", "audit"),
        relay("to: {ref: {kind: Broker, name: audit}}, filters: [{exact: {type: a}}]", "copy"),
        relay("to: {uri: 'http://127.0.0.1:8080/default/audit'}", "own"),
        relay("to: {uri: 'https://us.example/'}, delivery: {deadLetterSink: {uri: 'http://dls/'}}", "away"),
    )

    graph = json.loads(render(spec, "json"))

    assert [(edge["relay"], edge["trigger"], edge["target"], edge["kind"]) for edge in graph["edges"]] == [
        ("default/copy", "", "broker default/audit", "relay"),
        ("default/own", "", "broker default/audit", "relay"),
        ("default/away", "", "https://us.example/", "relay"),
        ("default/away", "", "http://dls/", "dead letter"),
    ]
    assert '  n0 ==>|"relay copy: type=a"| n1' in render(spec, "mermaid").splitlines()
    assert (
        '  "broker default/orders" -> "https://us.example/" [label="relay away: everything", style=bold];'
        in render(spec, "dot").splitlines()
    )
