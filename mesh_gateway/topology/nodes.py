"""Composed YAML nodes: weighed before anybody walks them, made into plain values, asked for places.

Aliases and merge keys (`<<`) are expanded once, under a cap that is checked on the nodes: a document of 300
bytes can stand for 400 million values, and whoever walks it is dead.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

import yaml

from mesh_gateway.topology import scalars
from mesh_gateway.topology.faults import Faults, Path, Place
from mesh_gateway.topology.scalars import MAP, MERGE, SEQ

MAX_NODES = 200_000
"""Values of one file, aliases expanded: 5,000 triggers of 40 values each."""
MAX_DEPTH = 64
"""Documents of Kubernetes reach about 15; recursion over 64 levels needs no care anywhere."""


class Document:
    """One document, or one item of a `List`: its plain value, and the place of each of its parts.

    `value` is made of dict (text keys), list, str, int, float, bool and None; equal parts may be the same
    object, so nobody changes it.
    """

    __slots__ = ("_first_line", "_node", "directory", "file", "value")

    def __init__(self, file: str, directory: FilePath, node: yaml.Node, first_line: int, value: Any) -> None:
        self.file = file
        self.directory = directory
        self.value = value
        self._node = node
        self._first_line = first_line

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Where `path` is written (`key`: its field name); if it is not, the key of the nearest part that is."""
        node = self._node
        name_mark = value_mark = node.start_mark
        for part in path:
            step = _step(node, part)
            if step is None:
                key = True
                break
            name, node = step
            name_mark, value_mark = name.start_mark, node.start_mark
        mark = name_mark if key else value_mark
        return Place(self.file, self._first_line + mark.line + 1, mark.column + 1)

    def item(self, path: Path, value: Any) -> Document:
        """The part at `path` as a document of its own."""
        node = self._node
        for part in path:
            step = _step(node, part)
            assert step is not None, "an item is taken from where it was found"
            node = step[1]
        return Document(self.file, self.directory, node, self._first_line, value)


def _step(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """From a collection to (key, value) of one part. Merged pairs come first, so the last one counts."""
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in reversed(node.value) if k.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


class TooLarge(Exception):
    """A limit is exceeded; seen before anybody walks the nodes."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def too_deep() -> str:
    return f"nested deeper than {MAX_DEPTH} levels"


def too_many() -> str:
    return f"more than {MAX_NODES:,} values, aliases expanded; split the file"


class Budget:
    """How many values the documents of one file stand for, counted on the nodes with each alias weighed once."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def spend(self, root: yaml.Node) -> None:
        """Raises `TooLarge` before anybody has expanded anything."""
        weights: dict[int, tuple[int, int]] = {}
        size, depth = self._weigh(root, weights)
        self._left -= size
        if self._left < 0:
            raise TooLarge(too_many(), root.start_mark.line, root.start_mark.column)
        if depth > MAX_DEPTH:
            raise TooLarge(too_deep(), root.start_mark.line, root.start_mark.column)

    def _weigh(self, node: yaml.Node, weights: dict[int, tuple[int, int]]) -> tuple[int, int]:
        """(values, levels). An alias's anchor was written before it, so this is never deeper than the text."""
        if isinstance(node, yaml.ScalarNode):
            return 1, 1
        known = weights.get(id(node))
        if known is not None:
            if known[0] == 0:
                mark = node.start_mark
                raise TooLarge("an alias inside of what it stands for has no end", mark.line, mark.column)
            return known
        weights[id(node)] = (0, 0)
        size, depth = 1, 0
        for child in _children(node):
            more, deep = self._weigh(child, weights)
            size += more
            depth = max(depth, deep)
        weights[id(node)] = (size, depth + 1)
        return size, depth + 1


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    else:
        yield from node.value


class Builder:
    """Plain values from weighed nodes; every node once, however many aliases name it."""

    def __init__(self, file: str, line: int, faults: Faults) -> None:
        self._file = file
        self._line = line
        self._faults = faults
        self._made: dict[int, Any] = {}

    def plain(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._made:
            return self._made[id(node)]
        value: Any
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, MAP)
            value = self._mapping(node)
        else:
            self._check_tag(node, SEQ)
            value = [self.plain(child) for child in node.value]
        self._made[id(node)] = value
        return value

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault("MG002", key, "a key must be text")
            elif key.value in own:
                first = own[key.value][0].start_mark
                where = Place(self._file, self._line + first.line + 1, first.column + 1)
                message = f"{key.value!r} is already set at {where}; only one can count"
                self._fault("MG003", key, message)
            else:
                own[key.value] = (key, value)
                if key.tag == MERGE:
                    merged += self._merge(value)
        # The node keeps what counts, so that places are found in merged parts as well.
        node.value = merged + [pair for pair in own.values() if pair[0].tag != MERGE]
        return {key.value: self.plain(value) for key, value in node.value}

    def _merge(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        """The pairs that `<<` brings: of one mapping, or of several where the first one counts most."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        for source in reversed(sources):
            if isinstance(source, yaml.MappingNode):
                self.plain(source)
                pairs += source.value
            else:
                self._fault("MG002", source, "'<<' takes an object, or a list of objects")
        return pairs

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        try:
            return scalars.value(node.tag, node.value)
        except LookupError:
            self._check_tag(node, "")
            return node.value
        except ValueError:
            self._fault("MG002", node, f"{node.value[:40]!r} is not {scalars.short(node.tag)}")
            return None

    def _check_tag(self, node: yaml.Node, wanted: str) -> None:
        if node.tag != wanted:
            self._fault("MG002", node, f"the tag {scalars.short(node.tag)} is not read here; leave it away")

    def _fault(self, code: str, node: yaml.Node, message: str) -> None:
        mark = node.start_mark
        self._faults.add(code, Place(self._file, self._line + mark.line + 1, mark.column + 1), message)
