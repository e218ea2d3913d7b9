"""Where documents come from: files, directories and standard input, as `-f` takes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".yaml", ".yml")
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one file, or why there is none."""

    name: str
    """As faults call it."""
    text: str = ""
    folder: Path = Path()
    """What relative paths inside its documents are relative to."""
    error: str = ""
    """Why it could not be read; empty when it could."""

    @classmethod
    def from_paths(cls, paths: Sequence[str]) -> list[Source]:
        """Files, directories (their `*.yaml` and `*.yml`, sorted, not deeper) and `-` for standard input.

        A file named twice is read once. What cannot be read becomes a source with an `error`, which
        `load` reports among the other faults. Reads whole files; raises nothing.
        """
        sources: list[Source] = []
        seen: set[Path] = set()
        for path in paths:
            if path == STDIN:
                sources.append(cls._of_bytes("<stdin>", sys.stdin.buffer.read()))
                continue
            for found in _inside(Path(path)):
                if found.resolve() not in seen:
                    seen.add(found.resolve())
                    sources.append(cls._read(found))
        return sources

    @classmethod
    def _of_bytes(cls, name: str, data: bytes, folder: Path = Path()) -> Source:
        try:
            return cls(name, data.decode("utf-8-sig"), folder)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            return cls(name, error=f"not UTF-8 in line {line}; save the file as UTF-8")

    @classmethod
    def _read(cls, path: Path) -> Source:
        if path.is_dir():
            return cls(str(path), error=f"no {' or '.join('*' + s for s in SUFFIXES)} in this directory")
        try:
            return cls._of_bytes(str(path), path.read_bytes(), path.parent)
        except OSError as error:
            return cls(str(path), error=(error.strerror or str(error)).lower())


def each_once(groups: Sequence[Sequence[Source]]) -> list[list[Source]]:
    """The groups with each file where it was named first, as `-f mesh/ -f mesh/gateway.yaml` names it twice; none is empty."""
    seen: set[Path] = set()
    found: list[list[Source]] = []
    for group in groups:
        new = {Path(source.name).resolve(): source for source in group}
        found.append([source for path, source in new.items() if path not in seen])
        seen |= set(new)
    return [group for group in found if group]


def _inside(path: Path) -> Iterator[Path]:
    """The files of a directory, or the path itself; a directory without any stands for itself."""
    try:
        inside = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and not p.is_dir())
    except OSError:
        inside = []
    yield from inside or [path]
