"""Writing the files that a verb leaves with the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mesh_gateway.cli.exits import CheckFailed


def write(files: Mapping[Path, str]) -> None:
    """Write these texts, with the folders they need. Raises `CheckFailed` naming what cannot be written."""
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CheckFailed(f"cannot write {error.filename}: {error.strerror}") from error
