"""`plan`: what a change of the documents would do to a gateway, before it is done."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mesh_gateway.cli import options
from mesh_gateway.cli.exits import Exit
from mesh_gateway.cli.output import clean, document, notice, table

if TYPE_CHECKING:
    from mesh_gateway.cli.admin import AdminClient
    from mesh_gateway.topology.spec import GatewaySpec

SIGNS = {"added": "+", "changed": "~", "removed": "-"}
NOUNS = {
    "gateway": "Gateway", "transports": "Transport", "brokers": "Broker", "triggers": "Trigger", "relays": "Relay",
}  # fmt: skip


@click.command("plan")
@options.documents
@click.option(
    "--against",
    multiple=True,
    metavar="PATH",
    help="Files to compare with, instead of what a running gateway serves; may be repeated.",
)
@options.admin
@options.output("table", "json")
def command(
    files: tuple[str, ...], env_file: Path | None, against: tuple[str, ...], admin: str, token: str | None,
    form: Literal["table", "json"],
) -> None:  # fmt: skip
    """Show what a change would do to a gateway, before it is done.

    The documents are compared with what the gateway at --admin serves, or with the files of --against. Effects
    are none, hot (at once, nothing is interrupted), drain (what is under way ends as it began),
    rejoin group (a subscription is closed and opened anew), reset (connections are closed and opened
    anew, or events stay behind in another channel) and restart (a reload refuses it). The exit code
    is 3 when there are changes, 0 when there are none.
    """
    from mesh_gateway.cli import documents
    from mesh_gateway.topology.diff import diff
    from mesh_gateway.transport.plugins import load_plugins

    plugins = load_plugins()
    new = documents.spec_of(documents.read(files, env_file, plugins))
    if against:
        plan = diff(documents.spec_of(documents.read(against, env_file, plugins)), new)
    else:
        plan = diff(*compared(options.client(admin, token), new))
    told = plan.document()
    if form == "json":
        document(told, form)
    elif not told["changes"]:
        notice("nothing would change")
    else:
        lines(told["changes"])
    if told["changes"]:
        raise SystemExit(Exit.PLAN_HAS_CHANGES)


def compared(client: AdminClient, new: GatewaySpec) -> tuple[GatewaySpec, GatewaySpec]:
    """What the gateway serves and the new spec, both with marks in the place of what may be secret."""
    from mesh_gateway.topology import shown

    salt = secrets.token_hex(16)
    known = shown.marks(new, salt)
    answer = client.post("documents", body={"salt": salt, "known": sorted(known)})
    running = shown.read(answer["spec"])
    return running, shown.read(shown.shown(laid_over(new, running, answer["options"]), salt, known))


def laid_over(new: GatewaySpec, running: GatewaySpec, given: Sequence[str]) -> GatewaySpec:
    """The spec with what the running gateway was given on its command line: a reload lays it over the files again."""
    if "--ingress" in given:
        ingress = replace(new.ingress, host=running.ingress.host, port=running.ingress.port)
        new = replace(new, ingress=ingress)
    if "--admin" in given:
        new = replace(new, admin=replace(new.admin, host=running.admin.host, port=running.admin.port))
    if "open files" in given:
        most = min(new.ingress.max_connections, running.ingress.max_connections)
        new = replace(new, ingress=replace(new.ingress, max_connections=most))
    if "dev" in given:
        from mesh_gateway.topology.dev import with_display

        new = with_display(new, None)
    if "--state" in given or "dev" in given:
        new = replace(new, state_directory=running.state_directory)
    return new


def lines(changes: Sequence[Mapping[str, Any]]) -> None:
    """The changes for a person."""
    if changes:
        table(("", "object", "fields", "effect"), [_line(change) for change in changes])


def _line(change: Mapping[str, Any]) -> list[object]:
    name = f"{NOUNS.get(change['noun'], change['noun'])} {change['name']}"
    return [
        SIGNS.get(change["how"], "?"),
        clean(name),
        clean(", ".join(change["what"])) or None,
        change["effect"],
    ]
