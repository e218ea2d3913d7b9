"""A validated document with its place, and the collector of everything that is wrong with all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mesh_gateway.filters.dialects import Dialects
from mesh_gateway.topology import yaml
from mesh_gateway.topology.documents import Base
from mesh_gateway.topology.faults import CODES, Fault, Severity
from mesh_gateway.topology.yaml import Document, path_text


@dataclass(slots=True)
class Read:
    """One validated document and where it stands."""

    model: Base
    document: Document
    folder: Path
    namespace: str

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.model.metadata.name}"


class Reporter:
    """Collects faults, and knows how strict to be."""

    def __init__(self, *, strict: bool, partial: bool, dialects: Dialects) -> None:
        self.faults: list[Fault] = []
        self.dialects = dialects
        self.strict = strict
        self.partial = partial

    def at(
        self, document: Document, code: str, path: yaml.Path, message: str, severity: Severity | None = None
    ) -> None:
        """A fault of one document."""
        line, column = document.place(path)
        self.faults.append(
            Fault(code, severity or CODES[code][0], document.file, line, column, path_text(path), message)
        )
