"""`graph`: the mesh as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from mesh_gateway.cli import options


@click.command("graph")
@options.documents
@options.output("mermaid", "dot", "json")
def command(files: tuple[str, ...], env_file: Path | None, form: Literal["mermaid", "dot", "json"]) -> None:
    """Draw brokers, triggers, relays and subscribers.

    Mermaid pastes into a pull request; dot is for Graphviz. Without -f, mesh.yaml is drawn.
    """
    from mesh_gateway.cli import documents
    from mesh_gateway.topology.graph import render
    from mesh_gateway.transport.plugins import load_plugins

    spec = documents.spec_of(documents.read(files, env_file, load_plugins()))
    click.echo(render(spec, form))
