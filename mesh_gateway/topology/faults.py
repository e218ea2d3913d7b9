"""Every fault that documents can have: a stable code, a place, a sentence. Each code has a page in docs/errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "notice"]

CODES: dict[str, tuple[Severity, str]] = {
    "MG001": ("error", "a file cannot be read"),
    "MG002": ("error", "the YAML cannot be parsed"),
    "MG003": ("error", "a key stands twice in one object"),
    "MG004": ("error", "the same document stands twice"),
    "MG005": ("error", "a variable is not set"),
    "MG006": ("error", "a file is over a limit of size, nodes or depth"),
    "MG010": ("error", "a field is missing or has a wrong value"),
    "MG011": ("error", "a field is unknown"),
    "MG012": ("error", "a document has no apiVersion, kind or metadata.name"),
    "MG013": ("error", "a name is not usable"),
    "MG014": ("error", "a kind is unknown"),
    "MG015": ("error", "there is more than one Gateway"),
    "MG020": ("error", "a Trigger's Broker is not in the files"),
    "MG021": ("error", "a reference leads nowhere"),
    "MG022": ("error", "a destination refers to a kind that is not served here"),
    "MG023": ("error", "a Transport is not in the files"),
    "MG024": ("error", "no plugin brings a kind of transport, or it failed"),
    "MG025": ("error", "a transport's options are wrong"),
    "MG026": ("error", "a secret cannot be read"),
    "MG027": ("error", "a URL cannot be delivered to"),
    "MG028": ("error", "an annotation has a wrong value"),
    "MG030": ("warning", "an expression reads otherwise than it looks"),
    "MG031": ("error", "a filter is wrong"),
    "MG032": ("notice", "both filters and filter are given; filters counts"),
    "MG040": ("warning", "events can go round in a loop"),
    "MG041": ("warning", "dead letters go back into their own broker"),
    "MG050": ("error", "the admin listener is open to others and has no token"),
    "MG201": ("warning", "a Knative kind is not served here"),
    "MG202": ("warning", "a document of another kind was skipped"),
    "MG203": ("notice", "a broker of a class without an entry runs on the default transport"),
    "MG204": ("error", "relays are not served by this version"),
}
"""Code -> (usual severity, what it is about)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong or surprising, and where."""

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column} {self.code} {self.severity} {where}{self.message}"


def render(faults: Sequence[Fault], form: Literal["text", "json", "github"] = "text") -> str:
    """All faults for people, for programs, or as annotations of a GitHub run."""
    if form == "json":
        return json.dumps([asdict(fault) for fault in faults], indent=2)
    if form == "github":
        return "\n".join(_annotation(fault) for fault in faults)
    return "\n".join(str(fault) for fault in faults)


def _annotation(fault: Fault) -> str:
    text = f"{fault.path}: {fault.message}" if fault.path else fault.message
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{fault.severity} file={fault.file},line={fault.line},col={fault.column},title={fault.code}::{escaped}"
