"""A value against its model: unknown fields with suggestions, and everything that pydantic finds, as faults.

A wrong field is taken out and the rest is looked at again, so that one fault does not hide the others.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mesh_gateway.topology.faults import Path, meant

M = TypeVar("M", bound=BaseModel)

ROUNDS = 5
"""Taking out a wrong field can leave the object around it wrong; no kind nests deeper than this."""


class Finding(NamedTuple):
    """Something wrong at `path`; `key`: with the name of the field."""

    code: str
    path: Path
    message: str
    key: bool = False


def without_nulls(value: Any) -> Any:
    """A field that is null is a field that is absent (Kubernetes API conventions, "Nullable")."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_nulls(part) for part in value]
    return value


def unknown(model: type[BaseModel], value: Any, path: Path = ()) -> Iterator[Finding]:
    """Every field that the model does not have, at any depth."""
    if not isinstance(value, Mapping):
        return
    known = _nested(model)
    for name, part in value.items():
        if name not in known:
            hint = meant(name, known) or f"; known here: {', '.join(known)}"
            yield Finding("MG011", (*path, name), f"unknown field{hint}", key=True)
            continue
        inner = known[name]
        if inner is None:
            continue
        if isinstance(part, list):
            for i, entry in enumerate(part):
                yield from unknown(inner, entry, (*path, name, i))
        else:
            yield from unknown(inner, part, (*path, name))


def names(model: type[BaseModel]) -> set[str]:
    """Every name by which a field may be given."""
    aliases = set(_nested(model))
    return aliases | set(model.model_fields) if model.model_config.get("populate_by_name") else aliases


@functools.cache
def _nested(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """Field name in documents -> the model it holds (or lists), if any."""
    return {
        field.alias or name: next(models(field.annotation), None)
        for name, field in model.model_fields.items()
    }


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models inside of a field's annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from models(get_args(annotation)[0])
    else:
        for argument in get_args(annotation):
            yield from models(argument)


def validate(model: type[M], value: Any) -> tuple[M | None, list[Finding]]:
    """The model's instance and what is wrong.

    With findings, the instance is what remains without the wrong fields, good for looking further and
    for nothing else; None when nothing useful remains.
    """
    findings: list[Finding] = []
    for _ in range(ROUNDS):
        try:
            return model.model_validate(value), findings
        except ValidationError as error:
            details = error.errors(include_url=False)
        findings = findings or [_finding(detail) for detail in details]
        # What misses a part is taken out as a whole.
        wrong = {
            path[:-1] if detail["type"] == "missing" else path
            for detail in details
            for path in [detail["loc"]]
        }
        if () in wrong:
            break
        value = _pruned(value, wrong)
    return None, findings


def _pruned(value: Any, wrong: Collection[Path]) -> Any:
    """A copy without the parts at these paths."""
    above = {path[:length] for path in wrong for length in range(len(path))}

    def copy(part: Any, path: Path) -> Any:
        if path not in above:
            return part
        if isinstance(part, dict):
            return {k: copy(v, (*path, k)) for k, v in part.items() if (*path, k) not in wrong}
        if isinstance(part, list):
            return [copy(v, (*path, i)) for i, v in enumerate(part) if (*path, i) not in wrong]
        return part

    return copy(value, ())


def _finding(detail: ErrorDetails) -> Finding:
    kind, path = detail["type"], tuple(detail["loc"])
    if kind == "missing":
        return Finding("MG010", path, "is missing")
    if kind == "extra_forbidden":
        return Finding("MG011", path, "unknown field", key=True)
    return Finding("MG010", path, _sentence(detail))


_WHOLE = ("int_type", "int_parsing", "int_from_float", "int_parsing_size", "finite_number")
_FIXED = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
} | dict.fromkeys(_WHOLE, "must be a whole number")


def _sentence(detail: ErrorDetails) -> str:
    """What pydantic found, in the words of whoever writes documents."""
    kind, found = detail["type"], detail["input"]
    context = detail.get("ctx", {})
    if kind in _FIXED:
        return _FIXED[kind]
    match kind:
        case "string_type":
            return "must be text" + ("; put it in quotes" if isinstance(found, bool | int | float) else "")
        case "literal_error":
            words = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"must be {context['expected']}" + (meant(found, words) if isinstance(found, str) else "")
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "greater_than":
            return f"must be more than {context['gt']}"
        case "wrong":
            return detail["msg"]
        case "value_error":
            return str(context["error"])
    message = detail["msg"].removeprefix("Input ")
    return message[:1].lower() + message[1:]
