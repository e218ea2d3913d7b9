"""What fault tests put around a gateway, out of Debian packages: strace (kills it, and fails its calls), libfaketime
(moves its wall clock). No server; fetched once, unpacked and not installed.
"""

from __future__ import annotations

from pathlib import Path

from servers import debian
from servers.home import ServiceError, programs

PACKAGES = ["strace", "libunwind8", "libfaketime"]
SUITE = "bookworm"
NAME = "fault-tools"


def fetch() -> None:
    """Have them. Raises `ServiceError` where there are no Debian packages."""
    debian.unpacked(NAME, SUITE, PACKAGES)


def environment() -> dict[str, str]:
    """What tests have to know of those that were fetched."""
    folder = programs() / NAME
    if not (folder / "complete").exists():
        return {}
    root = folder / "root"
    return {
        "MESH_TEST_STRACE": str(_found(root, "usr/bin/strace")),
        "MESH_TEST_STRACE_LIBRARIES": str(_found(root, "**/libunwind.so.8").parent),
        "MESH_TEST_FAKETIME": str(_found(root, "**/libfaketimeMT.so.1")),
    }


def _found(root: Path, pattern: str) -> Path:
    path = next(iter(root.glob(pattern)), None)
    if path is None:
        raise ServiceError(
            f"{NAME}: the unpacked packages hold no {pattern}; remove {root.parent} and fetch them again"
        )
    return path
