"""Distributions that look installed, for tests of plugins."""

from __future__ import annotations

from pathlib import Path


def installed(folder: Path, kind: str, module: str) -> None:
    """Write into a folder of Python's path what an installed plugin leaves there: its name and its entry point."""
    about = folder / f"mesh_gateway_{kind.replace('-', '_')}-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mesh-gateway-{kind}\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(f"[mesh_gateway]\n{kind} = {module}\n")
