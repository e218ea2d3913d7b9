"""Documents to spec: Knative's manifests unchanged, and every default and reference as designed."""

from __future__ import annotations

import textwrap

import pytest

from mesh_gateway.topology.diff import apply, diff
from mesh_gateway.topology.graph import render
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.load import Loaded, Source, load
from mesh_gateway.topology.schema import json_schema
from mesh_gateway.topology.spec import (
    BrokerDestination,
    GatewaySpec,
    HttpDestination,
    PluginDestination,
    StartSpec,
)


def read(text: str, environment: dict[str, str] | None = None) -> Loaded:
    source = Source("mesh.yaml", textwrap.dedent(text))
    return load([source], environment=environment or {}, kinds=Kinds.builtin())


def spec(text: str, environment: dict[str, str] | None = None) -> GatewaySpec:
    loaded = read(text, environment)
    assert loaded.spec is not None, loaded.faults
    return loaded.spec


KUBECTL = """
apiVersion: v1
items:
- apiVersion: eventing.knative.dev/v1
  kind: Broker
  metadata:
    annotations:
      eventing.knative.dev/broker.class: Kafka
      eventing.knative.dev/creator: kubernetes-admin
      kubectl.kubernetes.io/last-applied-configuration: |
        {"apiVersion":"eventing.knative.dev/v1"}
    creationTimestamp: "2026-01-01T00:00:00Z"
    finalizers: [brokers.eventing.knative.dev]
    generation: 1
    managedFields: [{manager: kubectl, operation: Update}]
    name: default
    namespace: shop
    resourceVersion: "1234"
    uid: 6e8bc430-9c3a-11d9-9669-0800200c9a66
  spec:
    config: {apiVersion: v1, kind: ConfigMap, name: kafka-broker-config, namespace: knative-eventing}
    delivery: {backoffDelay: PT0.2S, backoffPolicy: exponential, retry: 10}
  status: {address: {url: http://kafka-broker-ingress/shop/default}, conditions: [{type: Ready, status: "True"}]}
- apiVersion: eventing.knative.dev/v1
  kind: Trigger
  metadata: {name: billing, namespace: shop, labels: {eventing.knative.dev/broker: default}}
  spec:
    broker: default
    filter: {attributes: {type: order.created, source: ""}}
    subscriber: {ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: billing, namespace: shop}, uri: /events}
  status: {subscriberUri: http://billing.shop.svc.cluster.local/events}
kind: List
metadata: {resourceVersion: ""}
"""


def test_what_kubectl_prints_runs_unchanged():
    loaded = read(KUBECTL)

    assert loaded.errors == []
    assert loaded.spec is not None
    assert loaded.spec.brokers["shop/default"].transport == "embedded"
    trigger = loaded.spec.triggers["shop/billing"]
    assert trigger.destination == HttpDestination("http://billing/events")
    assert trigger.filter_attributes == (("type", "order.created"), ("source", ""))
    assert [f.code for f in loaded.faults] == ["MG203"]


def test_other_kinds_are_told_and_skipped():
    loaded = read(
        """
        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        ---
        apiVersion: sources.knative.dev/v1
        kind: PingSource
        metadata: {name: ping}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: billing}
        """
    )

    assert [(f.code, f.severity) for f in loaded.faults] == [("MG202", "warning"), ("MG201", "warning")]
    assert loaded.spec is not None


TWO = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b}
spec: %s
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: t}
spec: {broker: b, subscriber: {uri: "http://x/"}%s}
"""


def test_a_broker_without_delivery_takes_what_knative_installs():
    delivery = spec(TWO % ("{}", "")).triggers["default/t"].delivery

    assert (delivery.retry, delivery.backoff_policy, delivery.backoff_delay) == (10, "exponential", 0.2)


def test_a_delivery_without_retry_means_one_attempt():
    assert spec(TWO % ("{delivery: {timeout: PT5S}}", "")).triggers["default/t"].delivery.retry == 0


def test_a_triggers_delivery_replaces_the_brokers_as_a_whole_even_an_empty_one():
    broker = '{delivery: {retry: 3, deadLetterSink: {uri: "http://dls/"}}}'

    inherited = spec(TWO % (broker, "")).triggers["default/t"].delivery
    own = spec(TWO % (broker, ", delivery: {}")).triggers["default/t"].delivery

    assert (inherited.retry, inherited.dead_letter_sink) == (3, HttpDestination("http://dls/"))
    assert (own.retry, own.dead_letter_sink) == (0, None)


def test_all_delivery_fields_are_read():
    text = "{delivery: {retry: 1, backoffPolicy: linear, backoffDelay: PT1M, backoffMax: PT2H, timeout: P1DT1S, retryAfterMax: PT0S, format: json, jitter: none}}"
    delivery = spec(TWO % (text, "")).triggers["default/t"].delivery

    assert (delivery.backoff_delay, delivery.backoff_max, delivery.timeout) == (60, 7200, 86_401)
    assert (delivery.retry_after_max, delivery.format, delivery.jitter) == (0, "json", False)


def test_a_destination_can_be_a_broker_of_this_gateway_or_a_plugins_uri():
    text = TWO % ("{}", "")
    broker = spec(
        text.replace(
            '{uri: "http://x/"}', "{ref: {apiVersion: eventing.knative.dev/v1, kind: Broker, name: b}}"
        )
    )
    display = spec(text.replace("http://x/", "display:"))

    assert broker.triggers["default/t"].destination == BrokerDestination("default/b")
    assert display.triggers["default/t"].destination == PluginDestination("display:")


def test_an_endpoint_brings_its_url_tls_and_credentials():
    endpoint = """
---
apiVersion: mesh-gateway.dev/v1alpha1
kind: Endpoint
metadata: {name: crm}
spec:
  url: https://crm.example/base/
  caCerts: {inline: PEM}
  auth: {bearer: {valueFrom: {env: TOKEN}}}
  replies: false
  headers: {x-tenant: a}
"""
    text = (TWO % ("{}", "")).replace(
        '{uri: "http://x/"}', "{ref: {kind: Endpoint, name: crm}, uri: hook}"
    ) + endpoint
    found = spec(text, {"TOKEN": "s3cret"}).triggers["default/t"].destination

    assert isinstance(found, HttpDestination)
    assert found.url == "https://crm.example/base/hook"
    assert found.bearer is not None
    assert found.bearer.value == "s3cret"
    assert "s3cret" not in repr(found)
    assert (found.ca_certificates, found.replies, found.headers) == ("PEM", False, (("x-tenant", "a"),))


def test_annotations_set_order_parallelism_and_reading():
    annotations = (
        "{name: t, annotations: {kafka.eventing.knative.dev/delivery.order: Ordered, mesh-gateway.dev/parallelism: '5', "
        "mesh-gateway.dev/overflow: block, mesh-gateway.dev/read: dedicated, mesh-gateway.dev/start: '2026-01-01T00:00:00Z', "
        "mesh-gateway.dev/replies: 'off', mesh-gateway.dev/window: '10'}}"
    )
    trigger = spec((TWO % ("{}", "")).replace("{name: t}", annotations)).triggers["default/t"]

    assert (trigger.order, trigger.parallelism, trigger.overflow, trigger.read) == (
        "ordered",
        5,
        "block",
        "dedicated",
    )
    assert trigger.start == StartSpec("timestamp", timestamp=1_767_225_600.0)
    assert (trigger.replies, trigger.window_events) == (False, 10)


def test_variables_are_filled_in_for_our_kinds_and_never_in_filters():
    text = """
    apiVersion: mesh-gateway.dev/v1alpha1
    kind: Gateway
    metadata: {name: g}
    spec: {cluster: "${CLUSTER:-eu}-$$", resolve: "http://{name}:${PORT}"}
    ---
    """
    found = spec(
        text + (TWO % ("{}", ', filters: [{exact: {type: "${X}"}}]')).replace("\n", "\n    "), {"PORT": "1"}
    )

    assert found.cluster == "eu-$"
    assert found.triggers["default/t"].filters == ({"exact": {"type": "${X}"}},)


def test_a_knative_kind_is_filled_in_only_where_it_asks():
    text = TWO % ("{}", "")
    asked = text.replace("{name: t}", '{name: t, annotations: {mesh-gateway.dev/interpolate: "true"}}')

    plain = read(text.replace("http://x/", "http://${HOST}/"), {"HOST": "h"})
    filled = spec(asked.replace("http://x/", "http://${HOST}/"), {"HOST": "h"})

    assert plain.spec is None or plain.spec.triggers["default/t"].destination != HttpDestination("http://h/")
    assert filled.triggers["default/t"].destination == HttpDestination("http://h/")


LOOP = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: a}
---
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: there}
spec: {broker: a, filters: [{prefix: {type: order.}}], subscriber: {ref: {kind: Broker, name: b}}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: back}
spec: {broker: b, filters: [{prefix: {type: %s}}], subscriber: {ref: {kind: Broker, name: a}}}
"""


def test_a_ring_of_brokers_is_told_once_unless_its_filters_exclude_each_other():
    assert [f.code for f in read(LOOP % "order.created").faults] == ["MG040"]
    assert read(LOOP % "invoice.").faults == ()


def test_dead_letters_into_the_own_broker_are_told():
    text = TWO % ("{delivery: {deadLetterSink: {ref: {kind: Broker, name: b}}}}", "")

    assert [f.code for f in read(text).faults] == ["MG041"]


def test_an_ambiguous_expression_is_told_with_how_it_reads():
    (fault,) = read(TWO % ("{}", ", filters: [{cesql: \"a = '1' AND b = '2' OR c = '3'\"}]")).faults

    assert fault.code == "MG030"
    assert "(" in fault.message


def test_a_diff_of_nothing_is_empty_and_a_change_leads_to_the_new_spec():
    old, new = spec(LOOP % "invoice."), spec(TWO % ("{delivery: {retry: 1}}", ""))

    assert not diff(old, old)
    plan = diff(old, new)
    assert {(c.noun, c.name, c.how) for c in plan.changes} == {
        ("brokers", "default/a", "removed"),
        ("triggers", "default/there", "removed"),
        ("triggers", "default/back", "removed"),
        ("triggers", "default/t", "added"),
    }
    applied = apply(old, plan)
    assert (applied.brokers, applied.triggers) == (new.brokers, new.triggers)


@pytest.mark.parametrize(
    ("line", "effect"),
    [
        ("delivery: {retry: 7}", "hot"),
        ("filters: [{exact: {type: x}}]", "hot"),
        ('subscriber: {uri: "http://y/"}', "drain"),
    ],
)
def test_a_change_of_a_trigger_has_the_effect_it_says(line, effect):
    old = TWO % ("{}", "")
    new = old.replace(
        'subscriber: {uri: "http://x/"}',
        line if line.startswith("sub") else f'subscriber: {{uri: "http://x/"}}, {line}',
    )

    (change,) = diff(spec(old), spec(new)).changes

    assert change.effect == effect


@pytest.mark.parametrize(
    ("form", "begins"), [("mermaid", "flowchart LR"), ("dot", "digraph mesh"), ("json", "{")]
)
def test_the_graph_shows_brokers_triggers_and_dead_letters(form, begins):
    drawn = render(
        spec(TWO % ('{delivery: {deadLetterSink: {uri: "http://dls/"}}}', ", filters: [{exact: {type: a}}]")),
        form,
    )

    assert drawn.startswith(begins)
    for part in ("default/b", "http://x/", "http://dls/", "type=a"):
        assert part in drawn


def test_the_schema_knows_every_kind_and_the_options_of_transports():
    schema = json_schema(Kinds.builtin())

    assert {"Gateway", "Transport", "Endpoint", "Broker", "Trigger", "embedded options"} <= schema[
        "$defs"
    ].keys()
