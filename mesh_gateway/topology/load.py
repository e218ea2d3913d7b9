"""From files to a spec: every fault of every file in one pass, and a spec only when there is no error.

read ─▶ parse ─▶ expand Lists ─▶ identify ─▶ interpolate ─▶ validate ─▶ resolve ─▶ lint
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mesh_gateway.filters.dialects import FilterFaults, parse
from mesh_gateway.topology import fields, yaml
from mesh_gateway.topology.documents import MODELS, OURS, Base, TriggerDoc
from mesh_gateway.topology.faults import Fault, Severity
from mesh_gateway.topology.interpolate import interpolate
from mesh_gateway.topology.kinds import Kinds
from mesh_gateway.topology.read import Read, Reporter
from mesh_gateway.topology.resolve import Resolver
from mesh_gateway.topology.spec import GatewaySpec
from mesh_gateway.topology.yaml import Document

KNATIVE_GROUPS = ("knative.dev",)
BY_NAME = {("v1", "Service"), ("serving.knative.dev/v1", "Service")}
"""Known, and nothing of them is needed: a ref resolves by name."""

_name = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z").match
LONGEST_NAME = 63
"""Names become parts of topics, queues and files; Kubernetes' label length is what all of them take."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file's text, or why it could not be read."""

    name: str
    text: str = ""
    folder: Path = Path()
    error: str = ""

    @staticmethod
    def from_paths(paths: Sequence[str]) -> list[Source]:
        """Files, directories (`*.yaml` and `*.yml`, sorted) and `-` for standard input. Raises nothing."""
        found: list[Source] = []
        for given in paths:
            if given == "-":
                found.append(Source("<stdin>", sys.stdin.read()))
                continue
            path = Path(given)
            if path.is_dir():
                inside = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml"))
                found += [_read(p) for p in inside]
                if not inside:
                    found.append(Source(given, error="the directory has no *.yaml or *.yml file"))
            else:
                found.append(_read(path))
        return found


def _read(path: Path) -> Source:
    try:
        return Source(str(path), path.read_text(encoding="utf-8"), path.parent)
    except OSError as error:
        return Source(str(path), error=f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        return Source(str(path), error=f"is not UTF-8 at byte {error.start}")


@dataclass(slots=True)
class Loaded:
    """What a load gave. `spec` is None exactly when there are errors."""

    spec: GatewaySpec | None
    faults: tuple[Fault, ...]
    documents: list[Read] = field(default_factory=list)

    @property
    def errors(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.severity == "error"]


def load(
    sources: Sequence[Source],
    *,
    environment: Mapping[str, str],
    kinds: Kinds,
    strict: bool = False,
    partial: bool = False,
) -> Loaded:
    """Read documents. Raises nothing: what is wrong stands in `faults`."""
    reporter = Reporter(strict=strict, partial=partial, dialects=kinds.filters)
    read = _documents(sources, environment, reporter)
    before = any(fault.severity == "error" for fault in reporter.faults)
    spec = Resolver(read, environment, kinds, reporter).spec(_digest(sources))
    faults = tuple(sorted(reporter.faults, key=lambda f: (f.file, f.line, f.column, f.code)))
    failed = before or any(fault.severity == "error" for fault in faults)
    return Loaded(None if failed else spec, faults, read)


def _digest(sources: Sequence[Source]) -> str:
    text = json.dumps([[source.name, source.text] for source in sources])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _documents(sources: Sequence[Source], environment: Mapping[str, str], reporter: Reporter) -> list[Read]:
    found: list[Read] = []
    seen: dict[tuple[str, str, str, str], Document] = {}
    for source in sources:
        if source.error:
            reporter.faults.append(Fault("MG001", "error", source.name, 1, 1, "", source.error))
            continue
        documents, faults = yaml.read(source.name, source.text)
        reporter.faults += faults
        for document in [one for each in documents for one in _expanded(each)]:
            read = _validated(document, source, environment, reporter)
            if read is not None and _is_first(read, seen, reporter):
                found.append(read)
    return found


def _expanded(document: Document) -> list[Document]:
    """The items of a List, or the document itself."""
    value = document.value
    if not isinstance(value, dict) or not str(value.get("kind", "")).endswith("List"):
        return [document]
    items = value.get("items")
    if not isinstance(items, list):
        return [document]
    inside = [
        Document(document.file, item, document.marks, (*document.base, "items", i))
        for i, item in enumerate(items)
    ]
    return [one for each in inside for one in _expanded(each)]


def _is_first(read: Read, seen: dict[tuple[str, str, str, str], Document], reporter: Reporter) -> bool:
    model = read.model
    identity = (model.api_version, model.kind, read.namespace, model.metadata.name)
    if model.kind == "Gateway" and model.api_version == OURS:
        earlier = next((d for i, d in seen.items() if i[:2] == identity[:2]), None)
        code = "MG015"
    else:
        earlier = seen.get(identity)
        code = "MG004"
    if earlier is None:
        seen[identity] = read.document
        return True
    line, column = earlier.place(("metadata", "name"))
    message = f"{model.kind} {read.key} stands already at {earlier.file}:{line}:{column}"
    reporter.at(read.document, code, ("metadata", "name"), message)
    return False


def _validated(
    document: Document, source: Source, environment: Mapping[str, str], reporter: Reporter
) -> Read | None:
    """The document as its model; None when it is skipped or cannot be."""
    identity = _identity(document, reporter)
    if identity is None:
        return None
    version, kind = identity
    model = MODELS.get(identity)
    if model is None:
        _skip(document, version, kind, reporter)
        return None
    ours = version == OURS
    value = _interpolated(document, ours, kind, environment, reporter)

    def unknown(path: yaml.Path, message: str) -> None:
        severity: Severity = "error" if ours or reporter.strict else "warning"
        reporter.at(document, "MG011", path, message, severity)

    fields.unknown(model, value, unknown)
    try:
        read = Read(model.model_validate(value), document, source.folder, _namespace(value))
    except ValidationError as error:
        _report(error, document, model, reporter)
        if model is TriggerDoc:
            _check_filters(value, document, reporter)
        return None
    _check_name(read, reporter)
    return read


def _identity(document: Document, reporter: Reporter) -> tuple[str, str] | None:
    value = document.value
    if not isinstance(value, dict):
        reporter.at(document, "MG012", (), "a document is an object with apiVersion, kind and metadata")
        return None
    missing = [name for name in ("apiVersion", "kind") if not isinstance(value.get(name), str)]
    metadata = value.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        missing.append("metadata.name")
    if missing:
        reporter.at(document, "MG012", (), f"has no {', '.join(missing)}")
        return None
    return value["apiVersion"], value["kind"]


def _namespace(value: Mapping[str, Any]) -> str:
    namespace = value["metadata"].get("namespace")
    return namespace if isinstance(namespace, str) and namespace else "default"


def _skip(document: Document, version: str, kind: str, reporter: Reporter) -> None:
    """A kind that is not read: known by name, a mistake, or somebody else's."""
    group = version.partition("/")[0]
    if (version, kind) in BY_NAME:
        return
    if group == "mesh-gateway.dev":
        if kind == "Relay":
            reporter.at(document, "MG204", ("kind",), "this version has no relays; remove the document")
            return
        known = {name for api, name in MODELS if api == OURS}
        hint = fields.suggestion(kind, known) if version == OURS else f"; use {OURS}"
        reporter.at(document, "MG014", ("kind",), f"unknown kind {version} {kind}{hint}")
    elif group.endswith(KNATIVE_GROUPS):
        severity: Severity = "error" if reporter.strict else "warning"
        reporter.at(document, "MG201", ("kind",), f"kind {kind!r} ({version}) is not served here", severity)
    else:
        reporter.at(document, "MG202", ("kind",), f"kind {kind!r} ({version}) was skipped")


def _interpolated(
    document: Document,
    ours: bool,
    kind: str,
    environment: Mapping[str, str],
    reporter: Reporter,
) -> Any:
    annotations = document.value["metadata"].get("annotations")
    asked = isinstance(annotations, dict) and annotations.get("mesh-gateway.dev/interpolate") == "true"
    if not (ours or asked) or kind == "Secret":
        return document.value
    return interpolate(
        document.value, environment, lambda path, message: reporter.at(document, "MG005", path, message)
    )


def _report(error: ValidationError, document: Document, model: type[Base], reporter: Reporter) -> None:
    """Pydantic's findings as ours: a path, and a sentence a person would write."""
    for one in error.errors(include_url=False):
        path = tuple(one["loc"])
        match one["type"]:
            case "missing":
                message = "is needed and missing"
            case "extra_forbidden":
                message = "unknown field"
            case "value_error":
                message = str(one["ctx"]["error"])
            case "literal_error":
                message = f"must be {one['ctx']['expected']}, not {one['input']!r}"
            case _:
                shown = repr(one["input"])
                message = (
                    f"{one['msg'][0].lower()}{one['msg'][1:]}, not {shown if len(shown) < 60 else 'this'}"
                )
        reporter.at(document, "MG010", path, message)


def _check_filters(value: Any, document: Document, reporter: Reporter) -> None:
    """A Trigger that is wrong elsewhere: its filters' faults are to be seen in the same pass."""
    spec = value.get("spec")
    filters = spec.get("filters") if isinstance(spec, dict) else None
    if not isinstance(filters, list):
        return
    try:
        parse(filters, custom=reporter.dialects)
    except FilterFaults as error:
        for fault in error.faults:
            reporter.at(document, "MG031", ("spec", *fault.path), fault.message)


def _check_name(read: Read, reporter: Reporter) -> None:
    if read.model.api_version == "v1":
        return  # ConfigMaps and Secrets are only looked up
    for path, name in (
        (("metadata", "name"), read.model.metadata.name),
        (("metadata", "namespace"), read.namespace),
    ):
        if not _name(name) or len(name) > LONGEST_NAME:
            reporter.at(
                read.document,
                "MG013",
                path,
                f"{name[:80]!r}: a name has a-z, 0-9, '-' and '.', begins and ends with a letter or digit, "
                f"and at most {LONGEST_NAME} characters",
            )
