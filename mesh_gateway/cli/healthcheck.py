"""`healthcheck`: for containers without curl."""

from __future__ import annotations

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.admin import AdminClient
from mesh_gateway.cli.exits import CheckFailed
from mesh_gateway.cli.output import clean

TIMEOUT = 2.0
"""Seconds; a container engine gives a check three."""


@click.command("healthcheck")
@click.option(
    "--ready", is_flag=True, help="Ask whether it can take events durably now, not only whether it lives."
)
@options.admin
def command(ready: bool, admin: str, token: str | None) -> None:
    """Ask whether the gateway lives (or is ready).

    The exit code is 0 for yes, 1 for no, 69 when nobody answers.
    """
    path = "/readyz" if ready else "/livez"
    client = AdminClient(admin, token or None, timeout=TIMEOUT)
    status, text = client.probe(path)
    url = client.url.rstrip("/") + path
    if status != 200:
        raise CheckFailed(f"{url}: {status} {clean(text[:200])}")
    click.echo(f"OK {url}")
