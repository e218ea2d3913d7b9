"""Documents together: all faults, strictness, identity, digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh_gateway.topology.load import Source, load
from tests.topology.harness import (
    BROKER,
    KINDS,
    codes,
    endpoint,
    gateway,
    loaded,
    said,
    spec_of,
    to_billing,
    transport,
    trigger,
)

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/mesh.yaml")), ids=lambda file: file.parent.name)
def test_every_example_loads_without_a_word_or_only_misses_a_plugin(file: Path):
    found = load(Source.from_paths([str(file)]), environment={}, kinds=KINDS)

    assert set(codes(found)) <= {"MG024", "MG203"}


def test_there_is_a_spec_exactly_when_there_are_no_errors():
    assert loaded(BROKER).spec is not None
    assert loaded(BROKER, trigger(to_billing("nonsense: 1"))).spec is not None
    assert loaded(BROKER, trigger(to_billing("delivery: {retry: -1}"))).spec is None
    assert [fault.code for fault in loaded(BROKER, trigger("x: 1")).errors] == ["MG010"]


def test_the_faults_of_all_files_come_in_one_pass_in_the_order_of_the_files():
    files = {
        "z.yaml": gateway("cluster: NO"),
        "a.yaml": trigger("subscriber: {uri: /x}, filters: [{exat: {a: b}}], delivery: {retry: x}"),
        "m.yaml": "a: b: c",
    }

    found = load([Source(name, text) for name, text in files.items()], environment={}, kinds=KINDS)

    assert [fault.file for fault in found.faults] == ["z.yaml", *["a.yaml"] * 4, "m.yaml"]
    assert sorted(codes(found)) == ["MG002", "MG010", "MG010", "MG020", "MG027", "MG031"]


def test_one_wrong_field_hides_no_other():
    found = loaded(
        BROKER,
        trigger(
            "subscriber: {uri: /x, CACerts: 5}, delivery: {retry: x, deadLetterSink: {ref: {kind: Job}}}, fliters: []",
            annotations="{mesh-gateway.dev/odrer: ordered}",
        ),
    )

    assert sorted(codes(found)) == ["MG010", "MG010", "MG010", "MG011", "MG027", "MG028"]


def test_the_same_object_in_two_files_names_both_places():
    found = load([Source("a.yaml", BROKER), Source("b.yaml", BROKER)], environment={}, kinds=KINDS)

    (fault,) = found.faults
    assert (fault.code, fault.file) == ("MG004", "b.yaml")
    assert "a.yaml:4:18" in fault.message


def test_the_same_name_in_another_kind_or_namespace_is_another_object():
    shop = BROKER.replace("{name: orders}", "{name: orders, namespace: shop}")

    assert len(spec_of(BROKER, shop, trigger(to_billing(), "orders")).brokers) == 2


def test_transports_have_no_namespace():
    twice = transport("kind: embedded").replace("{name: main}", "{name: main, namespace: shop}")

    assert codes(loaded(transport("kind: embedded"), twice)) == ["MG004"]


def test_strict_makes_errors_of_warnings_and_leaves_notices():
    sequence = "apiVersion: flows.knative.dev/v1\nkind: Sequence\nmetadata: {name: s}"
    both = trigger(to_billing("nonsense: 1, filters: [{exact: {type: a}}], filter: {attributes: {type: b}}"))

    lenient, strict = loaded(BROKER, both, sequence), loaded(BROKER, both, sequence, strict=True)

    assert [f.severity for f in lenient.faults] == ["warning", "notice", "warning"]
    assert [f.severity for f in strict.faults] == ["error", "notice", "error"]
    assert strict.spec is None


def test_partial_leaves_out_triggers_whose_broker_or_destination_is_elsewhere():
    here = trigger(to_billing(), "here")
    homeless = trigger(to_billing(), "homeless").replace("broker: orders", "broker: gone")
    aimless = trigger("subscriber: {ref: {kind: Broker, name: gone}}", "aimless")

    found = loaded(BROKER, here, homeless, aimless, partial=True, strict=True)

    assert found.spec is not None
    assert list(found.spec.triggers) == ["default/here"]
    assert [(f.code, f.severity) for f in found.faults] == [("MG020", "warning"), ("MG021", "warning")]


def test_partial_forgives_nothing_else():
    found = loaded(BROKER, trigger("subscriber: {ref: {kind: Sequence, name: s}}"), partial=True)

    assert found.spec is None


def test_null_is_absent():
    assert spec_of(BROKER + "spec: null").brokers
    assert spec_of(BROKER, trigger(to_billing("filter: null, filters: null, brokerRef: null"))).triggers
    assert said(loaded(endpoint("url: null"))) == ["MG010 spec.url: is missing"]


def test_the_digest_is_of_what_is_said_and_not_of_how_it_is_written():
    first = spec_of(BROKER, trigger(to_billing())).digest
    other_way = spec_of("# a comment\n" + trigger(to_billing()), BROKER + "status: {ready: true}").digest
    other = spec_of(BROKER, trigger(to_billing("delivery: {retry: 1}"))).digest

    assert first == other_way
    assert first != other
    assert len(first) == 12


def test_documents_are_what_was_read():
    found = loaded(BROKER, trigger(to_billing()))

    assert [(document.kind, document.key) for document in found.documents] == [
        ("Broker", "default/orders"),
        ("Trigger", "default/billing"),
    ]


def test_a_list_inside_of_a_list_and_an_empty_one_are_read():
    inner = "{apiVersion: eventing.knative.dev/v1, kind: Broker, metadata: {name: b}}"
    text = f"apiVersion: v1\nkind: List\nitems: [{{apiVersion: v1, kind: List, items: [{inner}]}}, {{apiVersion: v1, kind: List}}]"

    assert list(spec_of(text).brokers) == ["default/b"]


def test_nothing_at_all_is_a_warning():
    assert codes(loaded("")) == ["MG008"]
    assert codes(load([], environment={}, kinds=KINDS)) == ["MG008"]
