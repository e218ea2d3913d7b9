"""Modules of ours that the wheel `mesh-gateway-native` holds as libraries: the same sources, compiled by mypyc.

Compiled modules know each other's layout, and the types of what they import. So they are used only beside the very sources
that they were made from and with, and all of them or none: after one line has changed, all run as Python until the
wheel is made anew.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent
CONTENTS = "contents.json"
"""In the wheel: `libraries`, the full names of the modules, and `sources`, the SHA-256 of each file of the package that they
depend on, by its path in it."""


class Unusable(Exception):
    """The libraries cannot be used, and why."""


def libraries(folder: Path, package: Path = PACKAGE) -> Mapping[str, Path]:
    """Those in this folder of the wheel, by the full name of their module; none where it has none.

    Raises `Unusable`.
    """
    import hashlib  # here, because a start without the wheel needs neither of the two
    import json

    try:
        contents = json.loads((folder / CONTENTS).read_text())
        for path, digest in contents["sources"].items():
            if hashlib.sha256((package / path).read_bytes()).hexdigest() != digest:
                raise Unusable(f"they were made with another {path}: install mesh-gateway-native anew")
        found = {name: _library(folder, name) for name in contents["libraries"]}
        if found:
            importlib.import_module("mesh_gateway_native.datapath__mypyc")  # what all of them are in
    except FileNotFoundError as error:
        if not folder.is_dir():
            return {}  # a wheel from before there were any
        raise Unusable(f"{error.filename} is missing: install mesh-gateway-native anew") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError) as error:
        raise Unusable(f"they cannot be read ({error}): install mesh-gateway-native anew") from error
    return found


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
