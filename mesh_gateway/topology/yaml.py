"""YAML text to plain values, with the place of every value, and within limits.

PyYAML composes nodes (fast, in C); the values are made here, because its own rules are those of
YAML 1.1: `no` would be False, `on` True, `0777` 511, `12:30` 750. Duplicate keys are faults, and an
alias counts as many nodes as it expands to, so that a few hundred bytes cannot become millions (V17).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from mesh_gateway.topology.faults import Fault

MAX_BYTES = 10 * 2**20
MAX_NODES = 200_000
MAX_DEPTH = 64

Path = tuple[str | int, ...]

_null = re.compile(r"(?:null|Null|NULL|~|)\Z").match
_bool = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z").match
_int = re.compile(r"[-+]?[0-9]+\Z|0o[0-7]+\Z|0x[0-9a-fA-F]+\Z").match
_float = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z").match


class _Loader(yaml.CSafeLoader):
    """Composes only; every plain scalar stays text until it is read here."""


_Loader.yaml_implicit_resolvers = {}


@dataclass(slots=True)
class Document:
    """One document of a file."""

    file: str
    value: Any
    marks: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """Path -> (line, column), both from 1; of a member, where its key stands."""
    base: Path = ()
    """Where the object begins inside the file's document (items of a List)."""

    def place(self, path: Path) -> tuple[int, int]:
        """The nearest known place of a path."""
        whole = (*self.base, *path)
        while whole and whole not in self.marks:
            whole = whole[:-1]
        return self.marks.get(whole, (1, 1))


class _Refused(Exception):
    def __init__(self, code: str, message: str, mark: Any) -> None:
        super().__init__(message)
        self.code = code
        self.mark = mark


def read(file: str, text: str) -> tuple[list[Document], list[Fault]]:
    """The documents of a file and what is wrong with its YAML. Raises nothing."""
    if len(text) > MAX_BYTES:
        return [], [Fault("MG006", "error", file, 1, 1, "", f"the file is over {MAX_BYTES} bytes")]
    documents: list[Document] = []
    faults: list[Fault] = []
    try:
        for node in _nodes(text):
            document = Document(file, None)
            builder = _Builder(document, faults)
            document.value = builder.value(node, (), 0)
            if document.value is not None:
                documents.append(document)
    except _Refused as error:
        faults.append(
            Fault(error.code, "error", file, error.mark.line + 1, error.mark.column + 1, "", str(error))
        )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        faults.append(Fault("MG002", "error", file, line, column, "", error.problem or "not YAML"))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        faults.append(Fault("MG002", "error", file, 1, 1, "", " ".join(str(error).split())))
    return documents, faults


def _nodes(text: str) -> Iterator[yaml.Node]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    finally:
        loader.dispose()


class _Builder:
    def __init__(self, document: Document, faults: list[Fault]) -> None:
        self._document = document
        self._faults = faults
        self._count = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise _Refused("MG006", f"the file expands to more than {MAX_NODES} nodes", node.start_mark)
        if depth > MAX_DEPTH:
            raise _Refused("MG006", f"nested deeper than {MAX_DEPTH}", node.start_mark)
        if id(node) in self._open:
            raise _Refused("MG006", "an alias contains itself", node.start_mark)
        self._document.marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
            return self._mapping(node, path, depth)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _Refused("MG002", "a key must be text", key_node.start_mark)
            key = key_node.value
            here = (*path, key)
            mark = key_node.start_mark
            if key in found:
                first = self._document.marks[here]
                message = f"stands twice, first in line {first[0]}"
                self._faults.append(
                    Fault(
                        "MG003",
                        "error",
                        self._document.file,
                        mark.line + 1,
                        mark.column + 1,
                        _text(here),
                        message,
                    )
                )
                continue
            self._document.marks[here] = (mark.line + 1, mark.column + 1)
            found[key] = self.value(value_node, here, depth + 1)
        return found

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text: str = node.value
        if node.tag not in ("tag:yaml.org,2002:str", "", "!", None):
            return self._tagged(node, text)
        if node.style:  # quoted or a block: text
            return text
        if _null(text):
            return None
        if _bool(text):
            return text[0] in "tT"
        if _int(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text[:40])
        if _float(text):
            return float(text)
        return text

    def _tagged(self, node: yaml.ScalarNode, text: str) -> Any:
        raise _Refused("MG002", f"the tag {node.tag} is not read here", node.start_mark)


def _text(path: Path) -> str:
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


path_text = _text
