"""An event in the hand: from flags, from `--field`, or from a JSON file."""

from __future__ import annotations

import json
import math
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from mesh_gateway import attributes as rules
from mesh_gateway.errors import InvalidEvent
from mesh_gateway.event import Event

SOURCE = "/mesh-gateway/send"
"""Who sent it, when nobody says."""

FLAGS = {"type": "--type", "source": "--source", "subject": "--subject", "id": "--id",
         "datacontenttype": "--content-type"}  # fmt: skip


def extensions(pairs: Iterable[str], option: str = "-a") -> dict[str, str]:
    """`NAME=VALUE` pairs as attributes. Raises a usage error for what has a flag of its own."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint=option)
        if name in FLAGS:
            raise click.BadParameter(f"{name} has its own option: {FLAGS[name]}", param_hint=option)
        found[name] = value
    return found


def build(attributes: dict[str, str | None], data: bytes | None = None) -> Event:
    """A valid event of the attributes that are not None; `specversion` and `id` are filled in.

    Raises a usage error that names every attribute that is wrong.
    """
    given = {name: value for name, value in attributes.items() if value is not None}
    texts = {"specversion": "1.0", "id": str(uuid.uuid4()), **given}
    faults = rules.faults(texts)
    if faults:
        raise click.UsageError("this is no valid CloudEvent: " + "; ".join(faults))
    return Event(texts, data)


def read(path: str, option: str) -> Event:
    """The event in a JSON file (`-` = standard input); `specversion` and `id` may be left out."""
    from mesh_gateway.wire import json as wire

    text = slurp(path, option)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{shown(path)} is not JSON: {error}", param_hint=option) from error
    if not isinstance(found, dict):
        raise click.BadParameter(f"{shown(path)} is not one JSON object", param_hint=option)
    filled = {"specversion": "1.0", "id": str(uuid.uuid4()), **found}
    try:
        return wire.decode(json.dumps(filled).encode())
    except InvalidEvent as error:
        raise click.BadParameter(
            f"{shown(path)} is no valid CloudEvent: {error}", param_hint=option
        ) from error


def slurp(path: str, option: str) -> bytes:
    """The bytes of a file, or of standard input for `-`."""
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise click.BadParameter(f"cannot read {path}: {error.strerror}", param_hint=option) from error


def shown(path: str) -> str:
    """The path as messages name it."""
    return "standard input" if path == "-" else path


def data_of(given: str | None, fields: Iterable[str]) -> bytes | None:
    """The data bytes that `--data` or `--field` mean; None when neither is given."""
    fields = tuple(fields)
    if given is not None and fields:
        raise click.UsageError("--data and --field exclude each other")
    if fields:
        return json.dumps(fields_object(fields), ensure_ascii=False).encode()
    if given is None:
        return None
    if given == "-" or given.startswith("@"):
        return slurp(given.removeprefix("@"), "--data")
    return given.encode("utf-8", "surrogateescape")


def content_type_of(data: bytes | None) -> str | None:
    """What such data is, when nobody says: JSON, text or just bytes."""
    if data is None:
        return None
    try:
        json.loads(data)
    except UnicodeDecodeError:
        return "application/octet-stream"
    except ValueError:
        return "text/plain; charset=utf-8" if _is_utf8(data) else "application/octet-stream"
    return "application/json"


def fields_object(fields: Iterable[str]) -> dict[str, Any]:
    """`a.b=1` as `{"a": {"b": 1}}`. Numbers, true, false and null are JSON's; quotes make text of them."""
    whole: dict[str, Any] = {}
    for field in fields:
        path, equals, text = field.partition("=")
        *above, last = path.split(".")
        if not equals or not all([*above, last]):
            raise click.BadParameter(f"{field!r} is not a.b=VALUE", param_hint="--field")
        inside: Any = whole
        for name in above:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                break
        if not isinstance(inside, dict) or last in inside:
            raise click.BadParameter(f"{path} is given twice, or inside of a value", param_hint="--field")
        inside[last] = _scalar(text)
    return whole


def _scalar(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict | list) or (isinstance(value, float) and not math.isfinite(value)):
        return text
    return value


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
