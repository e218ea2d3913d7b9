"""One document, read: what it is, what it is called, and its spec as a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_gateway.topology import fields, knative
from mesh_gateway.topology.documents import EVENTING, MODELS, OURS, Metadata
from mesh_gateway.topology.durations import LONGEST_SHOWN
from mesh_gateway.topology.faults import Faults, Path, Place, Severity, meant
from mesh_gateway.topology.interpolate import Filled, interpolate
from mesh_gateway.topology.nodes import Document
from mesh_gateway.topology.parts import Model
from mesh_gateway.topology.values import LONGEST_NAME, is_label, is_name

INTERPOLATE = "mesh-gateway.dev/interpolate"
ENVELOPE = ("apiVersion", "kind", "metadata", "spec", "status")
METADATA = (
    "name", "namespace", "labels", "annotations", "generateName", "uid", "resourceVersion", "generation",
    "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "ownerReferences",
    "managedFields", "selfLink",
)  # fmt: skip
"""Every field of Kubernetes' ObjectMeta; those that only a cluster writes are not read."""

MESH_WIDE = frozenset({"Gateway", "Transport"})
"""Kinds of ours without a namespace: a Broker of any namespace may lie on a Transport."""


@dataclass(slots=True, eq=False)
class Resource:
    """A document with an identity. `spec` is what its kind's model made of it.

    If the document is faulty, `spec` holds what remains without the wrong fields, so that the rest is
    looked at as well; None when nothing useful remains.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    annotations: Mapping[str, str]
    value: Mapping[str, Any]
    """The whole document: variables replaced, null fields removed."""
    document: Document
    faults: Faults = field(repr=False)
    spec: Model | None = None

    @property
    def key(self) -> str:
        """`namespace/name`; of a mesh-wide kind, the name."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def home(self) -> str:
        """The namespace for refs that name none."""
        return self.namespace or "default"

    @property
    def place(self) -> Place:
        return self.document.place(("metadata", "name"))

    def says(self, path: Path) -> bool:
        """Whether the document has this field, right or wrong."""
        return _at(self.value, path) is not None

    def fault(
        self, code: str, path: Path, message: str, *, severity: Severity | None = None, key: bool = False
    ) -> None:
        """Note a finding about `path` of this document."""
        found = _at(self.value, path)
        if isinstance(found, Filled):
            # A variable may hold a credential: repeat what was written, not what it stands for.
            written = str(_at(self.document.value, path))
            for shown in (found, found[:LONGEST_SHOWN]):
                message = message.replace(shown, written)
        self.faults.on(self.document, code, path, message, severity=severity, key=key)


def _at(value: Any, path: Path) -> Any:
    """The part at `path`, or None."""
    for part in path:
        inside = (
            part in value
            if isinstance(value, dict)
            else isinstance(value, list) and part in range(len(value))
        )
        if not inside:
            return None
        value = value[part]
    return value


def read(document: Document, environment: Mapping[str, str], faults: Faults) -> Iterator[Resource]:
    """The resources of a document: one, several for a `List`, none for what is skipped or cannot be read."""
    for one in knative.expanded(document):
        resource = _read(one, environment, faults)
        if resource is not None:
            yield resource


def _read(document: Document, environment: Mapping[str, str], faults: Faults) -> Resource | None:
    kind = _kind(document, faults)
    if kind is None:
        return None
    model = MODELS.get(kind)
    if model is None and kind not in knative.LOOKED_UP:
        if kind not in knative.SERVICES:
            knative.skip(document, *kind, faults)
        return None
    resource = _identify(document, kind, _filled(document, kind, environment, faults), faults)
    if resource is not None and model is not None:
        _check_spec(resource, model)
    return resource


def _kind(document: Document, faults: Faults) -> tuple[str, str] | None:
    value = document.value
    if not isinstance(value, dict):
        faults.on(document, "MG012", (), "a document is an object with apiVersion, kind and metadata")
        return None
    found = (value.get("apiVersion"), value.get("kind"))
    for name, text in zip(("apiVersion", "kind"), found, strict=True):
        if not isinstance(text, str) or not text:
            hint = _similar(name, value) if text is None else ""
            faults.on(document, "MG012", (name,), ("is missing" if text is None else "must be text") + hint)
    api_version, kind = found
    if isinstance(api_version, str) and api_version and isinstance(kind, str) and kind:
        return api_version, kind
    return None


def _similar(name: str, value: Mapping[str, Any]) -> str:
    """A word about a field that is there and looks like the missing one."""
    close = next((key for key in value if key != name and meant(key, [name])), None)
    return f"; {close!r} is not it" if close else ""


def _filled(document: Document, kind: tuple[str, str], environment: Mapping[str, str], faults: Faults) -> Any:
    """The value with its variables: always in our kinds, in others only on their own demand, never in Secrets."""
    value = document.value
    metadata = value.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    asked = isinstance(annotations, dict) and annotations.get(INTERPOLATE) == "true"
    if kind[1] != "Secret" and (asked or kind[0] == OURS):
        value = interpolate(
            value, environment, lambda path, message: faults.on(document, "MG005", path, message)
        )
    return fields.without_nulls(value)


def _identify(
    document: Document, kind: tuple[str, str], value: Mapping[str, Any], faults: Faults
) -> Resource | None:
    metadata, findings = fields.validate(Metadata, value.get("metadata", {}))
    for finding in findings:
        code = "MG012" if finding.path == ("name",) else finding.code
        faults.on(document, code, ("metadata", *finding.path), finding.message)
    if metadata is None:
        return None
    namespace = "" if kind[1] in MESH_WIDE else metadata.namespace or "default"
    resource = Resource(*kind, namespace, metadata.name, metadata.annotations, value, document, faults)
    if kind not in knative.LOOKED_UP:
        _check_names(resource)
    return resource


def _check_names(resource: Resource) -> None:
    name, namespace = resource.name, resource.namespace
    if len(name) > LONGEST_NAME or not is_name(name):
        rule = f"a-z, 0-9, '-' and '.', a letter or digit at both ends, at most {LONGEST_NAME} characters"
        resource.fault("MG013", ("metadata", "name"), f"{name[:LONGEST_NAME]!r} is not a name: {rule}")
    if namespace and (len(namespace) > LONGEST_NAME or not is_label(namespace)):
        rule = f"a-z, 0-9 and '-', a letter or digit at both ends, at most {LONGEST_NAME} characters"
        resource.fault(
            "MG013", ("metadata", "namespace"), f"{namespace[:LONGEST_NAME]!r} is not a namespace: {rule}"
        )


def _check_spec(resource: Resource, model: type[Model]) -> None:
    """Unknown fields (an error in our kinds, a warning in Knative's, whose CRDs keep them), then the model."""
    value = resource.value
    severity: Severity = "warning" if resource.api_version == EVENTING else "error"
    spec = value.get("spec", {})
    unknown = [
        *_strangers(value, ENVELOPE, ()),
        *_strangers(value["metadata"], METADATA, ("metadata",)),
        *fields.unknown(model, spec, ("spec",)),
    ]
    for finding in unknown:
        resource.fault(finding.code, finding.path, finding.message, severity=severity, key=True)
    resource.spec, findings = fields.validate(model, spec)
    for finding in findings:
        resource.fault(finding.code, ("spec", *finding.path), finding.message, key=finding.key)


def _strangers(value: Mapping[str, Any], known: tuple[str, ...], path: Path) -> Iterator[fields.Finding]:
    for name in value:
        if name not in known:
            yield fields.Finding("MG011", (*path, name), f"unknown field{meant(name, known)}", key=True)
