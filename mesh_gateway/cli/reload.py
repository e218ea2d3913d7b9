"""`reload`: a running gateway reads its files again."""

from __future__ import annotations

from typing import Literal

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.admin import AdminClient
from mesh_gateway.cli.output import document

TIMEOUT = 120.0
"""Seconds for the outcome: a reload that has to wait for another one, for restless files and for a slow subscription."""


@click.command("reload")
@options.admin
@options.output("table", "json")
def command(admin: str, token: str | None, form: Literal["table", "json"]) -> None:
    """Have the gateway read its files again, and wait for the outcome.

    When they cannot be served the old ones stay in force, the reason is told and the exit code is 1.
    """
    from mesh_gateway.cli.plan import lines

    client = AdminClient(admin, token or None, timeout=TIMEOUT)
    outcome = client.post("reload", body={})
    if form == "json":
        document(outcome, form)
        return
    word = (
        "nothing has changed"
        if outcome["result"] == "unchanged"
        else f"in {outcome['seconds'] * 1000:.0f} ms"
    )
    click.echo(f"generation {outcome['generation']} · documents {outcome['digest']} · {word}")
    lines(outcome["changes"])
