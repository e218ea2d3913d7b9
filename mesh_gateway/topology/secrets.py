"""Values by reference: secrets from the environment, a file or a Secret document, and certificates from files."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import ssl
from collections.abc import Mapping
from pathlib import Path as FilePath

from mesh_gateway.topology.faults import Path
from mesh_gateway.topology.parts import Certificates, KeyPair, SecretKeyRef, ValueFrom
from mesh_gateway.topology.resources import Resource
from mesh_gateway.topology.spec import Secret

LARGEST = 2**20
"""Bytes of a secret or certificate file; whoever names a larger one has named another file."""


class Unreadable(Exception):
    """The value is not there; says why."""


class Missing(Unreadable):
    """There is no such Secret document."""


class References:
    """Reads what documents refer to; what is not there is a fault of the document, and None."""

    def __init__(self, environment: Mapping[str, str], secrets: Mapping[str, Resource]) -> None:
        self._environment = environment
        self._secrets = secrets

    def secret(self, source: ValueFrom, resource: Resource, path: Path) -> Secret | None:
        """The value that `valueFrom` at `path` stands for."""
        try:
            if source.env is not None:
                return self._variable(source.env)
            if source.file is not None:
                text = read_text(resource.document.directory / source.file)
                return Secret(text.removesuffix("\n").removesuffix("\r"))
            assert source.secret_key_ref is not None, "the model asks for one of three"
            return self._key(source.secret_key_ref, source.secret_key_ref.namespace or resource.home)
        except Unreadable as error:
            resource.fault("MG026", path, str(error))
            return None

    def certificates(self, source: Certificates, resource: Resource, path: Path) -> str | None:
        """PEM text of authorities to trust."""
        try:
            text = (
                source.inline if source.file is None else read_text(resource.document.directory / source.file)
            )
            return pem(text or "")
        except Unreadable as error:
            resource.fault("MG026", (*path, "inline" if source.file is None else "file"), str(error))
            return None

    def key_pair(self, source: KeyPair, resource: Resource, path: Path) -> tuple[FilePath, FilePath, str]:
        """The two files, seen to be there, and a hash of what is in them: that is read when they are used."""
        found = {}
        content = hashlib.sha256()
        for name in ("certificate", "key"):
            file = found[name] = resource.document.directory / getattr(source, name)
            if not file.is_file() or not os.access(file, os.R_OK):
                resource.fault("MG026", (*path, name), f"{file} is not a file that can be read")
                continue
            with contextlib.suppress(OSError):  # gone since; who uses it says so
                content.update(file.read_bytes())
        return found["certificate"], found["key"], content.hexdigest()

    def _variable(self, name: str) -> Secret:
        found = self._environment.get(name)
        if not found:
            raise Unreadable(f"the environment variable {name} is not set")
        return Secret(found)

    def _key(self, ref: SecretKeyRef, namespace: str) -> Secret:
        name = f"{namespace}/{ref.name}"
        document = self._document(name)
        found = _text(document, ref.key)
        if found is None:
            raise Unreadable(f"the Secret {name} has no key {ref.key!r}")
        return found

    def whole(self, name: str) -> dict[str, Secret]:
        """Every value of the Secret `namespace/name`. Raises `Missing`, or `Unreadable` naming the key."""
        document = self._document(name)
        keys = {**_members(document, "data"), **_members(document, "stringData")}
        found = {key: _text(document, key) for key in keys}
        return {key: value for key, value in found.items() if value is not None}

    def _document(self, name: str) -> Resource:
        document = self._secrets.get(name)
        if document is None:
            raise Missing(f"there is no Secret {name} in the files")
        return document


def _text(document: Resource, key: str) -> Secret | None:
    """The value under a key of a Secret, None when it has none. Raises `Unreadable`."""
    plain = _members(document, "stringData").get(key)
    if isinstance(plain, str):
        return Secret(plain)
    encoded = _members(document, "data").get(key)
    if not isinstance(encoded, str):
        return None
    try:
        return Secret(base64.b64decode("".join(encoded.split()), validate=True).decode())
    except (binascii.Error, UnicodeDecodeError):
        raise Unreadable(
            f"the Secret {document.key} holds no base64 text under {key!r}; plain text goes into stringData"
        ) from None


def _members(resource: Resource, field: str) -> Mapping[str, object]:
    found = resource.value.get(field)
    return found if isinstance(found, dict) else {}


def read_text(path: FilePath) -> str:
    """The text of a small file. Raises `Unreadable`."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise Unreadable(f"{path} has more than {LARGEST:,} bytes")
        return data.decode()
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError:
        raise Unreadable(f"{path} is not UTF-8 text") from None


def pem(text: str) -> str:
    """The same text, if certificates can be read from it. Raises `Unreadable`.

    Between the certificates of a bundle stand names in all languages, which nobody reads, and which `ssl` takes in ASCII only.
    """
    text = text.encode("ascii", "replace").decode()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise Unreadable("not PEM text of certificates (-----BEGIN CERTIFICATE-----)") from None
    return text
