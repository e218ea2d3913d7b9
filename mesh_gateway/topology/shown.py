"""A spec as it may be shown to somebody who has files to compare it with: what may be secret can be told apart, not read.

The asker sends marks (salted hashes) of what may be secret in the files; in the answer such a value appears as its mark
if the asker has the same one, and as asterisks if not. So who knows nothing learns nothing, not even a hash to try words on.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from mesh_gateway.topology.spec import GatewaySpec

HIDDEN = frozenset({"options", "secrets", "headers", "bearer", "token"})
"""Fields below which every text may be a secret: passwords of transports are plain text among their options."""

ASTERISKS = "********"


def marks(spec: GatewaySpec, salt: str) -> set[str]:
    """The marks of everything in `spec` that may be secret."""
    found: set[str] = set()

    def noted(text: str) -> str:
        found.add(_mark(text, salt))
        return ASTERISKS

    _walk(_plain(spec), noted, hidden=False)
    return found


def shown(spec: GatewaySpec, salt: str, known: Collection[str]) -> dict[str, Any]:
    """The spec as JSON, for somebody who has these marks."""

    def told(text: str) -> str:
        mark = _mark(text, salt)
        return mark if mark in known else ASTERISKS

    document: dict[str, Any] = _walk(_plain(spec), told, hidden=False)
    return document


def read(document: Any) -> GatewaySpec:
    """The spec of such JSON, marks in the place of values. Raises `ValueError`."""
    return _adapter().validate_python(document)


@cache
def _adapter() -> TypeAdapter[GatewaySpec]:
    return TypeAdapter(GatewaySpec)


def _plain(spec: GatewaySpec) -> Any:
    return _adapter().dump_python(spec, mode="json")


def _mark(text: str, salt: str) -> str:
    return hmac.new(salt.encode(), text.encode(), hashlib.sha256).hexdigest()


def _walk(value: Any, told: Callable[[str], str], *, hidden: bool) -> Any:
    if isinstance(value, dict):
        return {name: _walk(inner, told, hidden=hidden or name in HIDDEN) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, told, hidden=hidden) for inner in value]
    return told(value) if hidden and isinstance(value, str) else value
