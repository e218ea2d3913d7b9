"""Secrets by reference: from the environment, a file, or a Secret document; never from a document's text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from mesh_gateway.topology.documents import SecretDoc, SecretValue
from mesh_gateway.topology.spec import Secret


class Unreadable(ValueError):
    """The secret cannot be had; says why and what to do."""


def resolve(
    value: SecretValue,
    *,
    environment: Mapping[str, str],
    folder: Path,
    namespace: str,
    documents: Mapping[tuple[str, str], SecretDoc],
) -> Secret:
    """The secret. Raises `Unreadable`."""
    source = value.value_from
    given = [name for name in ("env", "file", "secret_key_ref") if getattr(source, name) is not None]
    if len(given) != 1:
        raise Unreadable("valueFrom takes exactly one of env, file, secretKeyRef")
    if source.env is not None:
        found = environment.get(source.env)
        if not found:
            raise Unreadable(f"the environment variable {source.env} is not set")
        return Secret(found)
    if source.file is not None:
        return Secret(read_file(folder / source.file).strip())
    assert source.secret_key_ref is not None
    name, key = source.secret_key_ref.name, source.secret_key_ref.key
    document = documents.get((namespace, name))
    if document is None:
        raise Unreadable(f"there is no Secret {namespace}/{name} in the files")
    return Secret(_member(document, f"{namespace}/{name}", key))


def read_file(path: Path) -> str:
    """The text of a file. Raises `Unreadable`."""
    try:
        return path.read_text()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise Unreadable(f"{path} is not text") from None


def _member(document: SecretDoc, name: str, key: str) -> str:
    if document.string_data and key in document.string_data:
        return document.string_data[key]
    encoded = (document.data or {}).get(key)
    if encoded is None:
        raise Unreadable(f"the Secret {name} has no key {key!r}")
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Unreadable(
            f"the Secret {name} holds no base64 text under {key!r}; use stringData for plain text"
        ) from None
