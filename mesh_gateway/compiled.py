"""Modules of ours that the wheel `mesh-gateway-native` holds as libraries: the same sources, compiled by mypyc.

A library is used only for the very source that it was made from. The compiled modules know each other's layout, so it is
all of them or none: after one line has changed, all run as Python until the wheel is made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parent
DIGESTS = "sources.json"
"""In the wheel: of each module, by its full name, the SHA-256 of its source."""


class OtherSources(Exception):
    """The libraries were made from other sources than those that are installed."""


def libraries(folder: Path, package: Path = PACKAGE) -> Mapping[str, Path]:
    """Those in this folder of the wheel, by the full name of their module; none where it has none.

    Raises `OtherSources`.
    """
    try:
        digests: dict[str, str] = json.loads((folder / DIGESTS).read_text())
    except FileNotFoundError:  # a wheel from before there were any
        return {}
    for name, digest in digests.items():
        source = package.parent.joinpath(*name.split(".")).with_suffix(".py")
        if not source.exists() or hashlib.sha256(source.read_bytes()).hexdigest() != digest:
            raise OtherSources(f"{name} is not what they were made from: install mesh-gateway-native anew")
    return {name: folder.joinpath(*name.split(".")).with_suffix(EXTENSION_SUFFIXES[0]) for name in digests}


class Finder(MetaPathFinder):
    """Gives these modules from their libraries, when it stands first in `sys.meta_path`."""

    def __init__(self, libraries: Mapping[str, Path]) -> None:
        self._libraries = libraries

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where the module is, if it is one of these."""
        library = self._libraries.get(name)
        return None if library is None else spec_from_file_location(name, library)
