"""`version`: of the gateway, of the contract its plugins are built for, of Python, and of the native parts."""

from __future__ import annotations

import platform

import click

from mesh_gateway import __version__
from mesh_gateway.cli import options
from mesh_gateway.cli.output import document


@click.command("version")
@options.data_output()
def command(form: str) -> None:
    """Print the version."""
    from mesh_gateway.native import PARTS
    from mesh_gateway.transport.contract import TRANSPORT_API

    python = platform.python_version()
    facts = {
        "version": __version__,
        "transport_api": TRANSPORT_API,
        "python": python,
        "native": PARTS.used,
    }
    if form == "table":
        click.echo(f"mesh-gateway {__version__} (transport API {TRANSPORT_API}, Python {python}, {PARTS})")
    else:
        document(facts, form)
