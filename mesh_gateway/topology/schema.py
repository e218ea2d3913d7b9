"""One JSON Schema for editors: every kind that is read, the options of every transport included."""

from __future__ import annotations

from typing import Any

from mesh_gateway.errors import PluginError
from mesh_gateway.topology.documents import MODELS, OURS
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.transport.plugins import import_string


def json_schema(kinds: Kinds) -> dict[str, Any]:
    """Draft 2020-12, discriminated by apiVersion and kind."""
    definitions: dict[str, Any] = {}
    branches: list[dict[str, Any]] = []
    for (version, kind), model in MODELS.items():
        schema = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
        definitions |= schema.pop("$defs", {})
        schema["properties"]["apiVersion"] = {"const": version}
        schema["properties"]["kind"] = {"const": kind}
        if version == OURS:
            schema["additionalProperties"] = False
        definitions[kind] = schema
        branches.append(
            {
                "if": {"properties": {"apiVersion": {"const": version}, "kind": {"const": kind}}},
                "then": {"$ref": f"#/$defs/{kind}"},
            }
        )
    definitions["TransportSpecDoc"]["allOf"] = _options(kinds, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mesh Gateway documents",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "allOf": branches,
        "$defs": definitions,
    }


def _options(kinds: Kinds, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, kind in sorted(kinds.transports.items()):
        try:
            schema = import_string(kind.options).model_json_schema(
                by_alias=True, ref_template="#/$defs/{model}"
            )
        except PluginError:
            continue  # a plugin whose client library is missing; `plugins` says so
        definitions |= schema.pop("$defs", {})
        definitions[f"{name} options"] = schema
        found.append(
            {
                "if": {"properties": {"kind": {"const": name}}},
                "then": {"properties": {"options": {"$ref": f"#/$defs/{name} options"}}},
            }
        )
    return found
