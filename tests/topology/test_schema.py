"""The JSON Schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mesh_gateway.topology.documents import MODELS
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.schema import json_schema
from tests.topology.harness import KINDS

SCHEMA = json_schema(KINDS)


def walk(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        for inner in part.values():
            yield from walk(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from walk(inner)


def target(part: dict[str, Any]) -> dict[str, Any]:
    """What a bare reference leads to: a field that says the same as its object says nothing itself."""
    found: dict[str, Any] = SCHEMA["$defs"].get(part.get("$ref", "").removeprefix("#/$defs/"), {})
    return found


def branch(kind: str) -> dict[str, Any]:
    (found,) = [one for one in SCHEMA["allOf"] if one["if"]["properties"]["kind"]["const"] == kind]
    then: dict[str, Any] = found["then"]
    return then


def test_it_is_json_and_every_reference_leads_somewhere():
    json.dumps(SCHEMA)

    for part in walk(SCHEMA):
        if isinstance(part.get("$ref"), str):
            assert part["$ref"].removeprefix("#/$defs/") in SCHEMA["$defs"]


def test_every_kind_has_a_branch_and_every_field_a_description():
    assert {one["if"]["properties"]["kind"]["const"] for one in SCHEMA["allOf"]} == {
        kind for _, kind in MODELS
    }
    for name, definition in SCHEMA["$defs"].items():
        for field, part in definition.get("properties", {}).items():
            described = part.get("description") or target(part).get("description")
            assert described, f"{name}.{field}"


def test_our_kinds_are_closed_and_knatives_open():
    for kind, closed in (
        ("Gateway", True),
        ("Transport", True),
        ("Endpoint", True),
        ("Relay", True),
        ("Broker", False),
        ("Trigger", False),
    ):
        assert (SCHEMA["$defs"][kind].get("additionalProperties") is False) is closed


def test_options_depend_on_the_kind_of_transport_and_a_broken_plugin_does_no_harm():
    kinds = [one["if"]["properties"]["kind"]["const"] for one in SCHEMA["$defs"]["Transport"]["allOf"]]

    assert kinds == ["configured", "embedded"]
    password = SCHEMA["$defs"]["configured.options"]["properties"]["password"]
    assert {"$ref": "#/$defs/SecretSource"} in password["anyOf"]


def test_annotations_of_a_trigger_are_offered():
    offered = branch("Trigger")["properties"]["metadata"]["properties"]["annotations"]["properties"]

    assert "mesh-gateway.dev/parallelism" in offered
    assert "mesh-gateway.dev/interpolate" in offered


def test_a_variable_may_stand_for_a_number_in_our_kinds():
    replies = SCHEMA["$defs"]["Endpoint"]["properties"]["replies"]

    assert {"type": "string", "pattern": r"\$\{"} in replies["anyOf"]


def test_without_plugins_it_has_the_embedded_transport():
    assert "embedded.options" in json_schema(Kinds.builtin())["$defs"]
