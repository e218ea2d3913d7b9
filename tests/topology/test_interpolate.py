"""Variables in documents."""

from __future__ import annotations

from typing import Any

import pytest

from mesh_gateway.topology.faults import Path
from mesh_gateway.topology.interpolate import interpolate
from tests.topology.harness import (
    BROKER,
    codes,
    endpoint,
    loaded,
    said,
    spec_of,
    the_trigger,
    to_billing,
    transport,
    trigger,
)

ENVIRONMENT = {"NAME": "value", "EMPTY": "", "YAML": "a: [b, {c}]", "PORT": "9000"}


def filled(value: Any) -> tuple[Any, list[tuple[Path, str]]]:
    faults: list[tuple[Path, str]] = []
    return interpolate(value, ENVIRONMENT, lambda path, message: faults.append((path, message))), faults


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NAME}", "value"),
        ("a-${NAME}-${NAME}", "a-value-value"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${UNSET:-a:b}", "a:b"),
        ("${NAME:?never said}", "value"),
        ("$$", "$"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$value"),
        ("$NAME costs 5$", "$NAME costs 5$"),
        ("${YAML}", "a: [b, {c}]"),
    ],
)
def test_a_variable_is_replaced_in_text(text: str, expected: str):
    assert filled(text) == (expected, [])


@pytest.mark.parametrize(
    "text", ["${UNSET}", "${UNSET:?say}", "${EMPTY:?say}", "${", "${1X}", "${NAME", "${NAME-x}", "${A:-${B}}"]
)
def test_a_variable_without_a_value_and_a_wrong_one_are_faults_and_stay_as_they_are(text: str):
    value, faults = filled({"a": [text]})

    assert value == {"a": [text]}
    assert {path for path, _ in faults} == {("a", 0)}


def test_keys_filters_and_expressions_are_never_touched():
    document = {"${NAME}": 1, "filters": ["${NAME}"], "filter": {"a": "${NAME}"}, "x": {"cesql": "${NAME}"}}

    assert filled(document) == (document, [])


def test_a_value_never_becomes_structure():
    value, _ = filled({"a": "${YAML}"})

    assert value == {"a": "a: [b, {c}]"}


def test_a_number_may_come_from_a_variable():
    spec = spec_of(
        'apiVersion: mesh-gateway.dev/v1alpha1\nkind: Gateway\nmetadata: {name: g}\nspec: {ingress: {maxRequests: "${N}"}}',
        environment={"N": "7"},
    )

    assert spec.ingress.max_requests == 7


def test_kinds_of_knative_are_left_alone_unless_they_ask():
    document = to_billing().replace("billing", "${HOST}")

    left = loaded(BROKER, trigger(document), environment={"HOST": "h"})
    asked = the_trigger(
        BROKER,
        trigger(document, annotations='{mesh-gateway.dev/interpolate: "true"}'),
        environment={"HOST": "h"},
    )

    assert left.spec is not None
    assert "${host}" in str(left.spec.triggers["default/billing"].destination).lower()
    assert "http://h/" in str(asked.destination)


def test_what_is_wrong_with_an_unfilled_text_is_not_said_again():
    found = loaded(endpoint('url: "${CRM:?say where it is}"'))

    assert said(found) == ["MG005 spec.url: CRM: say where it is"]


def test_every_variable_without_a_value_is_named():
    found = loaded(endpoint('url: "http://${A}/", headers: {x: "${B}"}'))

    assert codes(found) == ["MG005", "MG005"]


def test_a_message_repeats_what_was_written_and_not_what_the_variable_holds():
    wrong = loaded(
        transport('kind: embedded, options: {retention: "${TOKEN}"}'),
        endpoint('url: "ftp://${TOKEN}/"'),
        environment={"TOKEN": "c4nary"},
    )

    assert codes(wrong) == ["MG025", "MG027"]
    assert "c4nary" not in "".join(said(wrong))
    assert "${TOKEN}" in "".join(said(wrong))
