"""One JSON Schema for editors: every kind that is served, with the options of every transport that is installed."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from mesh_gateway.errors import PluginError
from mesh_gateway.topology.annotations import TRIGGER
from mesh_gateway.topology.documents import MODELS, OURS
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.parts import Model
from mesh_gateway.topology.resources import INTERPOLATE

REF = "#/$defs/{model}"


def json_schema(kinds: Kinds) -> dict[str, Any]:
    """Draft 2020-12; a document's kind decides by `if`/`then`, so that an editor reports one kind's faults only."""
    found, whole = models_json_schema([(model, "validation") for model in MODELS.values()], ref_template=REF)
    definitions: dict[str, Any] = whole["$defs"]
    for (version, _), model in MODELS.items():
        if version == OURS:
            # Knative's kinds keep unknown fields, as their CRDs do.
            definitions[model.__name__] = _interpolated(definitions[model.__name__]) | {
                "additionalProperties": False
            }
    definitions["Transport"]["allOf"] = _options(kinds, definitions)
    branches = [
        _branch(version, kind, found[model, "validation"], model) for (version, kind), model in MODELS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mesh Gateway documents",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}},
        "allOf": branches,
        "$defs": definitions,
    }


def _branch(version: str, kind: str, spec: dict[str, Any], model: type[Model]) -> dict[str, Any]:
    named = {"apiVersion": {"const": version}, "kind": {"const": kind}}
    required = ["metadata", *(["spec"] if any(f.is_required() for f in model.model_fields.values()) else [])]
    return {
        "if": {"properties": named, "required": ["apiVersion", "kind"]},
        "then": {"required": required, "properties": {"metadata": _metadata(kind), "spec": spec}},
    }


def _metadata(kind: str) -> dict[str, Any]:
    annotations: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "string"}}
    known = {name: one.summary for name, one in TRIGGER.items()} if kind == "Trigger" else {}
    if kind in ("Broker", "Trigger"):
        known[INTERPOLATE] = INTERPOLATE_SUMMARY
    annotations["properties"] = {
        name: {"type": "string", "description": text} for name, text in known.items()
    }
    properties = {"name": {"type": "string"}, "namespace": {"type": "string"}, "annotations": annotations}
    return {"type": "object", "required": ["name"], "properties": properties}


INTERPOLATE_SUMMARY = '`"true"`: variables (`${NAME}`) in this document are replaced'


def _interpolated(schema: Any) -> Any:
    """Where a number or boolean is asked for, `${NAME}` may stand as well."""
    if isinstance(schema, list):
        return [_interpolated(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _interpolated(part) for key, part in schema.items()}
    if schema.get("type") in ("integer", "boolean", "number"):
        said = {key: inner.pop(key) for key in ("description", "default", "title") if key in inner}
        return {**said, "anyOf": [inner, {"type": "string", "pattern": r"\$\{"}]}
    return inner


def _options(kinds: Kinds, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, kind in sorted(kinds.transports.items()):
        try:
            model = kinds.load(kind.options)
        except PluginError:
            continue  # a plugin whose client library is missing: lint says so where a document names it
        prefix = f"{name}.{{model}}"
        schema = model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{prefix}")
        for inner, part in schema.pop("$defs", {}).items():
            definitions[prefix.format(model=inner)] = part
        definitions[f"{name}.options"] = _by_reference(schema)
        found.append(
            {
                "if": {"properties": {"kind": {"const": name}}},
                "then": {"properties": {"options": {"$ref": f"#/$defs/{name}.options"}}},
            }
        )
    return found


def _by_reference(schema: dict[str, Any]) -> dict[str, Any]:
    """Any option may be a variable, or `{valueFrom: …}`."""
    elsewhere = [{"$ref": "#/$defs/SecretSource"}, {"type": "string", "pattern": r"\$\{"}]
    properties = {
        name: {"description": part.get("description", ""), "anyOf": [part, *elsewhere]}
        for name, part in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}
