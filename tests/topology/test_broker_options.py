"""What a Broker's annotations, and the Secret that its config names, become: options of its channels."""

from __future__ import annotations

from mesh_gateway.gateway.parts import channel_options
from mesh_gateway.topology.diff import diff
from mesh_gateway.transport.contract import ChannelSpec
from tests.topology.harness import BROKER, codes, gateway, loaded, said, spec_of, transport

TOPIC = "kafka.eventing.knative.dev/external.topic"
MAPPED = gateway("brokerClasses: {Configured: main}") + "---" + transport("kind: configured")

CLASSED = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {name: b, annotations: {eventing.knative.dev/broker.class: Configured}}
spec: {config: {apiVersion: v1, kind: ConfigMap, name: cm, namespace: knative-eventing}}
"""

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: cm, namespace: knative-eventing}
data: {partitions: "3", auth: login}
"""

SECRET = """
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: knative-eventing}
data: {user: bWVzaA==}
stringData: {password: open-sesame}
"""


def annotated(value: str, spec: str = "") -> str:
    return BROKER.replace("name: orders", f"name: orders, annotations: {{{TOPIC}: {value}}}") + spec


def test_an_annotation_that_the_transport_reads_is_an_option_and_no_warning():
    ours = "spec: {config: {apiVersion: mesh-gateway.dev/v1alpha1, kind: Transport, name: main}}"
    found = loaded(annotated('" legacy "', ours), transport("kind: configured"))

    assert found.faults == ()
    assert found.spec is not None
    assert found.spec.brokers["default/orders"].options == (("topic", "legacy"),)


def test_the_same_annotation_on_a_transport_that_does_not_read_it_has_no_effect_and_is_said():
    found = loaded(annotated("legacy"))

    assert codes(found) == ["MG205"]
    assert found.spec is not None
    assert found.spec.brokers["default/orders"].options == ()


def test_the_secret_that_a_config_names_reaches_the_channels_options():
    broker = spec_of(MAPPED, CLASSED, CONFIG, SECRET).brokers["default/b"]

    assert dict(channel_options(broker)) == {
        "auth": "login",
        "partitions": "3",
        "secret.password": "open-sesame",
        "secret.user": "mesh",
    }


def test_the_secret_shows_in_no_repr():
    spec = spec_of(MAPPED, CLASSED, CONFIG, SECRET)
    channel = ChannelSpec("default", "b", options=channel_options(spec.brokers["default/b"]))

    assert "open-sesame" not in f"{spec!r} {diff(None, spec)!r} {channel!r}"


def test_another_password_is_a_change_of_the_broker():
    old = spec_of(MAPPED, CLASSED, CONFIG, SECRET)
    new = spec_of(MAPPED, CLASSED, CONFIG, SECRET.replace("open-sesame", "shut-sesame"))

    [change] = diff(old, new).changes
    assert (change.name, change.what, change.effect) == ("default/b", ("secrets",), "reset")


def test_an_absent_secret_is_said_where_it_is_named():
    found = loaded(MAPPED, CLASSED, CONFIG)

    assert said(found) == ["MG021 data.auth: there is no Secret knative-eventing/login in the files"]


def test_a_secret_that_cannot_be_read_names_the_key_and_not_its_value():
    found = loaded(MAPPED, CLASSED, CONFIG, SECRET.replace("bWVzaA==", "'%%%'"))

    assert said(found) == [
        "MG026 data.auth: the Secret knative-eventing/login holds no base64 text under 'user'; plain text goes into stringData"
    ]


def test_a_config_without_the_key_names_no_secret():
    broker = spec_of(MAPPED, CLASSED, CONFIG.replace(", auth: login", "")).brokers["default/b"]

    assert broker.secrets == ()
