"""From text to documents: YAML 1.2 with limits, and with the place of everything.

PyYAML's C parser composes nodes with marks, which keeps 500 triggers below 50 ms; the meaning of scalars
(`scalars.py`) and what is made of nodes (`nodes.py`) are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from mesh_gateway.topology.faults import Faults, Place
from mesh_gateway.topology.nodes import (
    MAX_DEPTH,
    MAX_NODES,
    Budget,
    Builder,
    Document,
    TooLarge,
    too_deep,
    too_many,
)
from mesh_gateway.topology.scalars import MAP, SEQ, STR, plain_tag
from mesh_gateway.topology.sources import Source

MAX_BYTES = 10 * 2**20
"""Of one file. A thousand times a large mesh, and still parsed within seconds."""

_forbidden = re.compile(
    "[^\\t\\n\\r\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]"
).search
_boundary = re.compile(r"^---(?=\s|\Z)", re.MULTILINE).search


def read(source: Source, faults: Faults) -> list[Document]:
    """Every document of a source; what cannot be read is a fault, and reading goes on behind the next `---`."""
    text = _checked(source, faults)
    if text is None:
        return []
    budget = Budget()
    documents: list[Document] = []
    start = 0
    while start < len(text):
        line = text.count("\n", 0, start)
        try:
            for node in _compose(text[start:]):
                budget.spend(node)
                value = Builder(source.name, line, faults).plain(node)
                if value is not None:
                    documents.append(Document(source.name, source.folder, node, line, value))
        except TooLarge as error:
            faults.add("MG006", Place(source.name, line + error.line + 1, error.column + 1), str(error))
            break
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(source.name, line + mark.line + 1, mark.column + 1) if mark else Place(source.name)
            faults.add("MG002", place, _sentence(error, line))
            # A line that begins with `---` starts a document whatever comes before it, so what follows
            # the broken document can still be read.
            following = _boundary(text, max(start + 1, start + (mark.index if mark else 0)))
            if following is None:
                break
            start = following.start()
            continue
        break
    return documents


def _checked(source: Source, faults: Faults) -> str | None:
    """The text, if it can be given to the parser."""
    if source.error:
        faults.add("MG001", Place(source.name), source.error)
        return None
    text = source.text.removeprefix("\ufeff")
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        faults.add("MG006", Place(source.name), f"{size:,} bytes; a file may have {MAX_BYTES:,}, split it")
        return None
    if bad := _forbidden(text):
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - (text.rfind("\n", 0, bad.start()) + 1) + 1
        message = f"the character U+{ord(bad.group()):04X} is not allowed in YAML"
        faults.add("MG002", Place(source.name, line, column), message)
        return None
    return text


class _Loader(yaml.CSafeLoader):
    """The C parser with our rules for scalars. It calls these hooks once for every node it composes."""

    _depth = 0
    _nodes = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: Any) -> None:
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH or self._nodes > MAX_NODES:
            mark = current_node.start_mark if current_node is not None else None
            what = too_deep() if self._depth > MAX_DEPTH else too_many()
            raise TooLarge(what, mark.line if mark else 0, mark.column if mark else 0)

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """The tag of a node that carries none, by the core schema of YAML 1.2 (10.3.2)."""
        if kind is yaml.ScalarNode:
            return plain_tag(value) if implicit[0] else STR
        return SEQ if kind is yaml.SequenceNode else MAP


def _compose(text: str) -> Iterator[yaml.Node]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node
    finally:
        loader.dispose()


def _sentence(error: yaml.MarkedYAMLError, line: int) -> str:
    """The parser's words, with the line on which what it was reading began."""
    text = str(error.problem or error.context or "cannot be read")
    if error.context and error.context_mark and error.problem:
        text = f"{error.problem} {error.context} that began on line {line + error.context_mark.line + 1}"
    if "cannot start any token" in text:
        text += " (a tab, or one of @ ` %; indent with spaces, put the value in quotes)"
    elif "mapping values are not allowed" in text:
        text += " (a value with ': ' in it needs quotes; else look at the indentation)"
    return text
