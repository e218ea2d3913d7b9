"""Modules of ours that the wheel `mesh-gateway-native` holds as libraries: the same sources, compiled by mypyc.

Compiled modules know each other's layout, and the types of what they import. So they are used only beside the very sources
that they were made from and with, and all of the gateway or none: after one line has changed, all run as Python until the
wheel is made anew. Those of a plugin go with its own sources, and with the gateway's.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

GATEWAY = "mesh_gateway"
PACKAGE = Path(__file__).parent
CONTENTS = "contents.json"
"""In the wheel, for each package: `libraries`, the full names of its modules, and `sources`, the SHA-256 of each of its files
that they depend on, by the path in it."""

BEFORE = frozenset(sys.modules)
"""Modules that were imported before the gateway. Compiled ones would have a second copy of such a one, and not know the first
one's classes."""

ANEW = "install mesh-gateway-native anew"


class Unusable(Exception):
    """The libraries cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class Libraries:
    """Those that can be used, by the full name of their module, and why others cannot."""

    found: dict[str, Path] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def home(package: str) -> Path | None:
    """Where a package is installed; None where it is not."""
    if package == GATEWAY:
        return PACKAGE
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def libraries(folder: Path, home: Callable[[str], Path | None] = home) -> Libraries:
    """Those in this folder of the wheel, for the packages that are installed; none where it has none.

    Raises `Unusable` when none can be used.
    """
    import json  # here, because a start without the wheel does not need it

    try:
        contents = json.loads((folder / CONTENTS).read_text())
        packages: dict[str, Any] = {GATEWAY: contents[GATEWAY], **contents}
        libraries = Libraries()
        for package, made in packages.items():
            where = home(package)
            if where is None:
                continue
            try:
                libraries.found.update(_of(made, where, folder))
            except Unusable as error:
                if package == GATEWAY:
                    raise
                libraries.left_out.append(f"of {package}: {error}")
        if libraries.found:
            importlib.import_module("mesh_gateway_native.datapath__mypyc")  # what all of them are in
    except FileNotFoundError as error:
        if not folder.is_dir():
            return Libraries()  # a wheel from before there were any
        raise Unusable(f"{error.filename} is missing: {ANEW}") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError) as error:
        raise Unusable(f"they cannot be read ({error}): {ANEW}") from error
    return libraries


def _of(made: Mapping[str, Any], where: Path, folder: Path) -> dict[str, Path]:
    """The libraries of one package. Raises `Unusable` when its sources are others, `FileNotFoundError` when a library is missing."""
    import hashlib

    for path, digest in made["sources"].items():
        source = where / path
        if not source.exists():
            raise Unusable(f"{source} is missing: {ANEW}")
        if hashlib.sha256(source.read_bytes()).hexdigest() != digest:
            raise Unusable(f"they were made with another {path}: {ANEW}")
    if before := BEFORE.intersection(made["libraries"]):
        raise Unusable(f"{min(before)} was imported before {GATEWAY}")
    return {name: _library(folder, name) for name in made["libraries"]}


def _library(folder: Path, name: str) -> Path:
    path = folder.joinpath(*name.split(".")).with_suffix(EXTENSION_SUFFIXES[0])
    path.stat()  # raises where it is missing
    return path


class Finder:
    """Gives these modules from their libraries, when it stands first in `sys.meta_path` (an `importlib.abc.MetaPathFinder`)."""

    def __init__(self, libraries: Mapping[str, Path]) -> None:
        self._libraries = libraries

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where the module is, if it is one of these."""
        library = self._libraries.get(name)
        return None if library is None else spec_from_file_location(name, library)
