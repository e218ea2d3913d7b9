"""`schema`: what editors need to know of the documents."""

from __future__ import annotations

import click

from mesh_gateway.cli.output import document


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of the documents, for editors.

    It holds every kind, and the options of every transport that is installed here.
    """
    from mesh_gateway.topology.kinds import Kinds
    from mesh_gateway.topology.schema import json_schema
    from mesh_gateway.transport.plugins import load_plugins

    document(json_schema(Kinds.of(load_plugins())), "json")
